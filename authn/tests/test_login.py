"""POST /api/v1/auth/login."""

from typing import Any

from django.test import override_settings

from accounts.models import User
from authn.models import Session
from authn.tests.tokens import part
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import INVALID_LOGIN, ApiTestCase
from fluxiq.tests.factories import PASSWORD, UserFactory

UNFIT: tuple[Any, ...] = (None, 12345678901, True, [], {}, "", "x" * 2000, "a\x00b", "\ud800")


class LoginTests(ApiTestCase):
    def login(self, document: Any, password: Any = PASSWORD, **extra: Any) -> Any:
        return self.post("/auth/login", None, {"document": document, "password": password}, **extra)

    def test_the_answer_is_the_documented_pair(self) -> None:
        pair = self.data(self.login(self.olga.document))
        assert sorted(pair) == ["access_token", "expires_in", "refresh_token", "token_type"]
        assert pair["token_type"] == "Bearer"
        assert pair["expires_in"] == 900

    def test_the_access_token_signs_its_holder_in(self) -> None:
        pair = self.data(self.login(self.olga.document))
        assert self.data(self.get("/auth/me", pair["access_token"]))["id"] == self.olga.id

    def test_tokens_carry_the_documented_header_and_claims(self) -> None:
        pair = self.data(self.login(self.olga.document))
        for name, typ, kind, audience, lifetime in (
            ("access_token", "at+jwt", "access", "fluxiq", 900),
            ("refresh_token", "rt+jwt", "refresh", "fluxiq/refresh", 7 * 24 * 3600),
        ):
            assert part(pair[name], 0) == {"alg": "HS256", "kid": "test-1", "typ": typ}
            claims = part(pair[name], 1)
            assert sorted(claims) == [
                "aud", "exp", "iat", "iss", "jti", "sid", "sub", "token_type",
            ]  # fmt: skip
            assert claims["token_type"] == kind
            assert claims["aud"] == audience
            assert claims["iss"] == "fluxiq"
            assert claims["sub"] == self.olga.id
            assert claims["sid"] == Session.objects.get().id
            assert claims["exp"] - claims["iat"] == lifetime

    def test_a_document_may_be_punctuated(self) -> None:
        UserFactory.create(document="12345678901")
        UserFactory.create(document="12ABC34501DE35")
        for written in ("123.456.789-01", " 12345678901 ", "12.abc.345/01de-35", "12ABC34501DE35"):
            assert self.login(written).status_code == 200, written

    def test_every_fault_has_the_same_bytes(self) -> None:
        UserFactory.create(document="11111111111", is_active=False)
        faults = {
            "wrong": self.login(self.olga.document, "wrong password"),
            "unknown": self.login("99999999999"),
            "inactive": self.login("11111111111"),
            "no document": self.login("not a document"),
        }
        for fault, response in faults.items():
            assert response.status_code == 401, fault
            assert response.content == INVALID_LOGIN, fault
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.headers["Cache-Control"] == "no-store"

    def test_spaces_of_a_password_count(self) -> None:
        UserFactory.create(document="22222222222", password="  spaces at both ends  ")
        assert self.login("22222222222", "spaces at both ends").status_code == 401
        assert self.login("22222222222", "  spaces at both ends  ").status_code == 200

    def test_a_wrong_body_names_the_field(self) -> None:
        good = {"document": self.olga.document, "password": PASSWORD}
        for field in good:
            for value in UNFIT:
                response = self.post("/auth/login", None, {**good, field: value})
                self.assert_invalid(response, field)
                self.forget_counts()
            self.assert_invalid(
                self.post("/auth/login", None, {k: v for k, v in good.items() if k != field}), field
            )
        self.assert_invalid(self.post("/auth/login", None, {**good, "otp": "1"}), "otp")
        assert Session.objects.count() == 0

    def test_a_credential_in_the_header_does_not_matter(self) -> None:
        headers = {"HTTP_AUTHORIZATION": "Bearer rubbish"}
        assert self.login(self.olga.document, **headers).status_code == 200

    def test_a_sign_in_starts_a_session_and_is_audited(self) -> None:
        self.login(self.olga.document, HTTP_USER_AGENT="Bank/1.0", REMOTE_ADDR="203.0.113.9")
        session = Session.objects.get()
        assert (session.user, session.user_agent) == (self.olga, "Bank/1.0")
        assert session.address == "203.0.113.9"
        event = AuditEvent.objects.get(kind=Kind.SESSION_STARTED)
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)
        assert (event.object_id, event.address) == (session.id, "203.0.113.9")

    def test_no_usable_token_is_stored(self) -> None:
        pair = self.data(self.login(self.olga.document))
        session = Session.objects.select_related("current").get()
        assert session.current is not None
        assert session.current.token == ""
        assert session.current.jti == part(pair["refresh_token"], 1)["jti"]

    @override_settings(
        PASSWORD_HASHERS=[
            "accounts.hashers.Argon2id",
            "django.contrib.auth.hashers.MD5PasswordHasher",
        ]
    )
    def test_an_old_hash_is_upgraded_and_nobody_is_logged_out(self) -> None:
        before = self.get("/auth/me", self.olga)
        assert before.status_code == 200
        assert self.login(self.olga.document).status_code == 200
        stored = User.objects.get(pk=self.olga.pk).password
        assert stored.startswith("argon2$argon2id$v=19$m=47104,t=1,p=1$")
        assert self.get("/auth/me", self.olga).status_code == 200

    @override_settings(VERIFY_DOCUMENT_CHECK_DIGITS=True)
    def test_a_document_with_wrong_check_digits_is_no_user(self) -> None:
        # Of the documents that the cast counts up, one in a hundred has right ones by chance.
        User.objects.filter(pk=self.olga.pk).update(document="12345678901")
        with self.settings(VERIFY_DOCUMENT_CHECK_DIGITS=False):
            assert self.login("12345678901").status_code == 200
        assert self.login("12345678901").content == INVALID_LOGIN
