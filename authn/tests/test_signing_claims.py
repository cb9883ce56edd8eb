"""The claims of a token: each is there, of its type, in bounds, and for us; and its times."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken

from authn.tests.tokens import BACKEND, SESSION_ID, USER_ID, assert_refused, claims, forge


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "fluxiq/refresh"}, {"aud": ["fluxiq"]}, {"aud": ["fluxiq", "other"]}, {"aud": 1},
        {"iss": "other"}, {"iss": ["fluxiq"]}, {"iss": None},
    ],
)  # fmt: skip
def test_a_token_of_another_issuer_or_for_another_audience_is_refused(
    changes: dict[str, Any],
) -> None:
    assert_refused(forge(payload=claims(**changes)), "not ours, or not for this use")


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": 5}, {"sub": ""}, {"sub": None}, {"sub": ["usr_1"]}, {"jti": 5}, {"jti": ""},
        {"sub": SESSION_ID}, {"sid": USER_ID}, {"jti": "0" * 33},
        {"sid": None}, {"sid": {}}, {"exp": "9999999999"}, {"exp": float("nan")},
        {"exp": float("inf")}, {"exp": 10**30}, {"exp": -1}, {"exp": True}, {"exp": None},
        {"exp": 9999999999.5}, {"iat": "now"}, {"iat": 10**30}, {"iat": None}, {"iat": -1},
        {"token_type": 1}, {"token_type": None}, {"nbf": 9999999999}, {"nbf": "soon"},
        {"nbf": None},
    ],
)  # fmt: skip
def test_a_claim_of_another_type_or_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    (name,) = changes
    assert_refused(forge(payload=claims(**changes)), f"no usable {name}")


@pytest.mark.parametrize("name", ["sub", "jti", "sid", "exp", "iat", "token_type"])
def test_a_claim_that_is_missing_is_refused(name: str) -> None:
    payload = claims()
    del payload[name]
    assert_refused(forge(payload=payload), f"no usable {name}")


@pytest.mark.parametrize("name", ["aud", "iss"])
def test_without_issuer_or_audience_it_is_not_ours(name: str) -> None:
    payload = claims()
    del payload[name]
    assert_refused(forge(payload=payload), "not ours, or not for this use")


NOW = 1_770_000_000


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is NOW."""
    monkeypatch.setattr("authn.signing.time.time", lambda: float(NOW))


@pytest.mark.usefixtures("standing_clock")
class TestTimes:
    def read(self, **changes: Any) -> dict[str, Any]:
        """What is read of a token with these claims changed."""
        return BACKEND.decode(forge(payload=claims(**changes)))

    def test_expiry_has_five_seconds_of_leeway(self) -> None:
        assert self.read(exp=NOW - 4)
        with pytest.raises(TokenBackendExpiredToken, match=r"^expired$"):
            self.read(exp=NOW - 5)

    @pytest.mark.parametrize("name", ["iat", "nbf"])
    def test_a_clock_five_seconds_ahead_of_ours_is_forgiven(self, name: str) -> None:
        assert self.read(**{name: NOW + 5})
        assert_refused(forge(payload=claims(**{name: NOW + 6})), f"no usable {name}")

    def test_the_year_9999_is_the_last(self) -> None:
        assert self.read(exp=253_402_300_799)
        assert_refused(forge(payload=claims(exp=253_402_300_800)), "no usable exp")

    def test_the_epoch_is_the_first(self) -> None:
        assert self.read(iat=0, nbf=0)["iat"] == 0
        assert BACKEND.decode(forge(payload=claims(exp=0)), verify=False)["exp"] == 0


def test_an_expired_token_can_be_read_where_that_is_asked_for_and_nothing_else_is_forgiven() -> (
    None
):
    old = claims(exp=int(time.time()) - 10_000)
    assert BACKEND.decode(forge(payload=old), verify=False)["sid"] == SESSION_ID
    forged = forge(payload=old, secret="x" * 40)
    assert_refused(forged, "not signed by the key it names", verify=False)
    elsewhere = forge(payload={**old, "aud": "other"})
    assert_refused(elsewhere, "not ours, or not for this use", verify=False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.sampled_from(["exp", "iat", "aud", "iss", "sub", "sid", "jti", "token_type", "nbf"]),
)
def test_a_claim_of_any_value_is_read_or_refused_and_never_raises_otherwise(
    value: Any, name: str
) -> None:
    try:
        read = BACKEND.decode(forge(payload=claims(**{name: value})))
    except TokenBackendError:
        return
    assert isinstance(read[name], int if name in ("exp", "iat", "nbf") else str)
