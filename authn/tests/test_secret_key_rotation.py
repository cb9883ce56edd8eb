"""SECRET_KEY is rotated like a ring: what another server made under the other key still serves."""

from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.test import override_settings

from authn import recovery
from authn.models import MfaChallenge
from authn.tests.second_step import CODE, SecondStepCase
from fluxiq.tests.factories import PASSWORD, enrol

OLD, NEW = settings.SECRET_KEY, "another-secret-key-of-the-tests-0123456789"


def server(secret_key: str, *fallbacks: str) -> AbstractContextManager[Any]:
    """A server with this SECRET_KEY and these fallbacks."""
    return override_settings(SECRET_KEY=secret_key, SECRET_KEY_FALLBACKS=list(fallbacks))


class SecretKeyRotationTests(SecondStepCase):
    def test_a_console_session_of_either_key_opens_pages_on_both_servers(self) -> None:
        self.client.force_login(self.root)
        for key, fallback in ((OLD, NEW), (NEW, OLD)) * 2:
            with server(key, fallback):
                assert self.is_in()
        with server("a-third-secret-key-of-the-tests-0123456789"):
            assert not self.is_in()

    def test_a_console_sign_in_goes_on_at_the_server_with_the_other_key(self) -> None:
        phone = enrol(self.sam)
        with server(NEW, OLD):
            assert self.led_to(self.password()) == CODE
        with server(OLD, NEW):
            self.code(phone.code())
            assert self.is_in()

    def test_a_challenge_is_finished_at_the_server_with_the_other_key(self) -> None:
        phone = enrol(self.olga)
        body = {"document": self.olga.document, "password": PASSWORD}
        with server(NEW, OLD):
            challenge = self.error(self.post("/auth/login", None, body), 403)["challenge"]
        proof = {"challenge": challenge, "code": phone.code()}
        with server(OLD, NEW):
            finished = self.post("/auth/login/mfa", None, proof)
        assert finished.status_code == 200
        assert not MfaChallenge.objects.exists()

    def test_a_reset_link_serves_at_the_server_with_the_other_key(self) -> None:
        with server(NEW, OLD):
            token = recovery.make_token(self.olga)
        body = {"token": token, "new_password": "a password of the rotation"}
        with server("a-third-secret-key-of-the-tests-0123456789"):
            assert self.post("/auth/password/reset", None, body).status_code == 401
        with server(OLD, NEW):
            assert self.post("/auth/password/reset", None, body).status_code == 204
