"""The pure parts of a second factor: one-time codes, recovery codes, and sealing."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from authn.mfa import recovery_codes, sealing, totp

# RFC 6238, appendix B, for SHA-1: the last six of its eight digits.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}
NOW = datetime(2026, 2, 3, 12, 0, 15, tzinfo=UTC)
RING = f"new:{'n' * 32},old:{'o' * 32}"


@pytest.mark.parametrize(("second", "code"), RFC_VECTORS.items())
def test_codes_are_those_of_the_rfc(second: int, code: str) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    assert totp.code_at(RFC_SECRET, moment) == code
    assert totp.matching_step(RFC_SECRET, code, moment) == second // 30


def test_a_clock_may_be_one_step_off_and_no_more() -> None:
    secret = totp.new_secret()
    present = int(NOW.timestamp()) // 30
    for steps, expected in ((-2, None), (-1, -1), (0, 0), (1, 1), (2, None)):
        code = totp.code_at(secret, NOW + timedelta(seconds=30 * steps))
        found = totp.matching_step(secret, code, NOW)
        assert found == (None if expected is None else present + expected), steps


def test_a_secret_has_160_bits_and_is_another_each_time() -> None:
    secrets = {totp.new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}


@pytest.mark.parametrize("text", ["12345", "1234567", "12345a", "", "١٢٣٤٥٦", "-12345", "12345\n"])
def test_what_is_no_code_is_not_taken_for_one(text: str) -> None:
    assert not totp.is_code(text)


def test_the_qr_code_is_made_here_and_says_the_uri() -> None:
    uri = totp.uri(RFC_SECRET, "***.456.789-**")
    assert uri.startswith("otpauth://totp/FluxiQ:")
    assert f"secret={RFC_SECRET}" in uri
    assert "issuer=FluxiQ" in uri
    image = totp.qr_data_uri(uri)
    assert image.startswith("data:image/svg+xml")
    assert "script" not in image
    assert image == totp.qr_data_uri(uri)
    assert image != totp.qr_data_uri(totp.uri(totp.new_secret(), "***.456.789-**"))


def test_recovery_codes_are_ten_of_80_bits() -> None:
    codes = recovery_codes.new()
    assert len(set(codes)) == 10
    for code in codes:
        assert len(base64.b32decode(recovery_codes.normalise(code))) == 10


def test_a_recovery_code_is_known_however_it_is_typed_and_to_its_user_alone() -> None:
    code = recovery_codes.new()[0]
    kept = recovery_codes.digest("usr_1", code)
    typed = f"  {code.lower().replace('-', ' ')} "
    assert recovery_codes.digest("usr_1", typed) == kept
    assert recovery_codes.digest("usr_2", code) != kept
    assert not totp.is_code("".join(code.split()))


def test_what_is_sealed_opens_for_its_owner_under_its_key_alone() -> None:
    new, old = sealing.parse_keys(RING)
    sealed = new.seal(b"the secret", "usr_1")
    assert new.open(sealed, "usr_1") == b"the secret"
    assert b"the secret" not in sealed
    assert new.seal(b"the secret", "usr_1") != sealed
    for key, owner, stored in (
        (new, "usr_2", sealed),
        (old, "usr_1", sealed),
        (new, "usr_1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (new, "usr_1", b""),
    ):
        with pytest.raises(sealing.CannotOpen):
            key.open(stored, owner)


def test_a_key_is_found_by_its_id() -> None:
    ring = sealing.parse_keys(RING)
    assert sealing.key_of(ring, "old").id == "old"
    with pytest.raises(sealing.CannotOpen, match="gone"):
        sealing.key_of(ring, "gone")


@pytest.mark.parametrize(
    ("ring", "why"),
    [
        ("", "there is no entry"),
        (f"k1:{'x' * 31}", "the secret of entry 1 has under 32 bytes"),
        (f"k1:{'x' * 32},k1:{'y' * 32}", "entries 1 and 2 have the same id"),
        (f"a b:{'x' * 32}", "entry 1 has no usable id: 1 to 32"),
        ("x" * 40, "entry 1 has no id"),
    ],
)
def test_a_ring_that_cannot_be_used_says_why_without_a_secret(ring: str, why: str) -> None:
    with pytest.raises(sealing.InvalidSealingKeys) as refused:
        sealing.parse_keys(ring)
    assert why in str(refused.value)
    assert "x" * 31 not in str(refused.value)


def test_a_key_is_shown_nowhere() -> None:
    assert "n" * 32 not in repr(sealing.parse_keys(RING))
