"""`make_pepper`, `make_mfa_key` and `make_signing_key`."""

from django.test import override_settings
from django.utils import timezone

from authn import keys, signing_keys
from authn.mfa import sealing
from authn.tests.commands import CommandTestCase
from authn.tokens import AccessToken
from fluxiq import rings


class MakePepperTests(CommandTestCase):
    def test_the_entry_can_be_put_before_the_peppers_in_force(self) -> None:
        stdout, _ = self.run_command("make_pepper", "--id", "2026-b")
        ring = keys.parse_peppers(f"{stdout.strip()},old:{'x' * 16}")
        assert [pepper.id for pepper in ring] == ["2026-b", "old"]
        assert len(ring[0].secret) >= 48

    def test_json_names_the_entry(self) -> None:
        made = self.result("make_pepper")
        (pepper,) = keys.parse_peppers(made["entry"])
        assert pepper.id == made["id"]

    def test_entries_of_one_day_have_secrets_and_ids_of_their_own(self) -> None:
        for command in ("make_pepper", "make_mfa_key", "make_audit_key"):
            made = [self.result(command) for _ in range(2)]
            pairs = dict(rings.entries(",".join(entry["entry"] for entry in made), 16))
            assert len(set(pairs.values())) == 2
            assert all(key_id.startswith(f"{timezone.now():%Y-%m-%d}-") for key_id in pairs)
        keys_made = [self.result("make_signing_key")["entry"] for _ in range(2)]
        assert len(signing_keys.parse_ring(",".join(keys_made), forbidden_secret="")) == 2

    def test_an_id_that_the_ring_would_refuse_is_refused(self) -> None:
        for pepper_id in ("a b", "a:b", "a,b", "", "x" * 33):
            with self.subTest(pepper_id):
                assert "1 to 32 of" in self.refusal("make_pepper", f"--id={pepper_id}")


class MakeMfaKeyTests(CommandTestCase):
    def test_the_entry_can_be_put_before_the_keys_in_force(self) -> None:
        stdout, stderr = self.run_command("make_mfa_key", "--id", "2026-b")
        ring = sealing.parse_keys(f"{stdout.strip()},old:{'x' * 32}")
        assert [key.id for key in ring] == ["2026-b", "old"]
        assert "MFA_KEYS" in stderr

    def test_an_id_that_the_ring_would_refuse_is_refused(self) -> None:
        assert "1 to 32 of" in self.refusal("make_mfa_key", "--id=a,b")


class MakeSigningKeyTests(CommandTestCase):
    def test_every_algorithm_makes_an_entry_that_signs_and_verifies(self) -> None:
        token = self.sign_in(self.olga).access_token
        for algorithm in ("HS256", "ES256", "EdDSA", "RS256"):
            with self.subTest(algorithm):
                stdout, _ = self.run_command(
                    "make_signing_key", "--algorithm", algorithm, "--kid", "fresh"
                )
                with override_settings(JWT_SIGNING_KEYS=stdout.strip()):
                    assert [(k.kid, k.algorithm) for k in signing_keys.ring()] == [
                        ("fresh", algorithm)
                    ]
                    signed = self.sign_in(self.olga).access_token
                    assert AccessToken(signed).user_id == self.olga.id  # type: ignore[arg-type]
                assert signed != token

    def test_without_an_algorithm_it_is_a_shared_secret(self) -> None:
        made = self.result("make_signing_key")
        (key,) = signing_keys.parse_ring(made["entry"], forbidden_secret="")
        assert (key.kid, key.algorithm) == (made["kid"], made["algorithm"])
        assert key.algorithm == "HS256"

    def test_a_kid_that_the_ring_would_refuse_is_refused(self) -> None:
        for kid in ("a b", "a:b", "a,b", "", "x" * 65):
            with self.subTest(kid):
                assert "1 to 64 of" in self.refusal("make_signing_key", f"--kid={kid}")

    def test_an_unknown_algorithm_is_refused(self) -> None:
        assert "invalid choice: 'none'" in self.refusal("make_signing_key", "--algorithm", "none")
