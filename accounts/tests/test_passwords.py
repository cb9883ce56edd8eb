"""Rules for new passwords, and how they are kept."""

import pytest
from django.contrib.auth.hashers import check_password, get_hasher, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import override_settings

from accounts.hashers import Argon2id
from accounts.passwords import LengthValidator

ARGON2ID = override_settings(PASSWORD_HASHERS=["accounts.hashers.Argon2id"])


class TestRules:
    @pytest.mark.parametrize(
        "password",
        [
            "x7$kQ2!pL9@m",  # 12
            "x7$kQ2!pL9@m" + "y" * 1012,  # 1024
            " x7 kQ2 pL9 ",  # spaces count, at the ends too
            "🍞" * 12,  # characters, not bytes
            "ação é só pão",
            "correct horse battery",
            "your-password",  # the demo's, which the source document signs in with
        ],
    )
    def test_twelve_to_1024_characters_are_taken(self, password: str) -> None:
        validate_password(password)

    @pytest.mark.parametrize(
        "password",
        ["", "x", "x7$kQ2!pL9@", "🍞" * 11, "x7$kQ2!pL9@m" + "y" * 1013, "y" * 100_000, " " * 11],
    )
    def test_fewer_and_more_are_refused(self, password: str) -> None:
        with pytest.raises(ValidationError):
            validate_password(password)

    @pytest.mark.parametrize("password", ["123456654321", "PASSWORD1234", " qwertyqwerty "])
    def test_common_ones_are_refused_in_any_case(self, password: str) -> None:
        LengthValidator().validate(password)
        with pytest.raises(ValidationError):
            validate_password(password)

    def test_the_rule_is_told(self) -> None:
        with pytest.raises(ValidationError) as caught:
            validate_password("short")
        assert caught.value.messages == ["A password has 12 to 1024 characters."]

    def test_the_fault_does_not_repeat_the_password(self) -> None:
        with pytest.raises(ValidationError) as caught:
            validate_password("qwertyuiop")
        assert "qwertyuiop" not in str(caught.value)


class TestHash:
    def test_it_is_argon2id_as_owasp_asks(self) -> None:
        with ARGON2ID:
            encoded = make_password("correct horse battery")
        assert encoded.startswith("argon2$argon2id$v=19$m=47104,t=1,p=1$")

    def test_it_is_the_first_hasher_of_every_deployment(self) -> None:
        from fluxiq.settings import base  # noqa: PLC0415 - as deployments read it, not the tests

        assert base.PASSWORD_HASHERS == ["accounts.hashers.Argon2id"]

    def test_it_keeps_a_password_exactly_as_typed(self) -> None:
        with ARGON2ID:
            typed = "  Ação \u0301 secreta  "
            encoded = make_password(typed)
            assert check_password(typed, encoded)
            for other in (typed.strip(), typed.lower(), typed + " ", " " + typed):
                assert not check_password(other, encoded)

    def test_two_of_one_password_differ(self) -> None:
        with ARGON2ID:
            assert make_password("correct horse battery") != make_password("correct horse battery")

    def test_one_of_other_parameters_is_made_anew_at_sign_in(self) -> None:
        with ARGON2ID:
            hasher = get_hasher("default")
            assert isinstance(hasher, Argon2id)
            encoded = make_password("correct horse battery")
            assert not hasher.must_update(encoded)
            assert hasher.must_update(encoded.replace("m=47104", "m=102400"))
