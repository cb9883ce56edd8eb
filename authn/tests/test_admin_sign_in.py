"""Signing in to the staff console: the throttle of the API's sign-in, one message, one event."""

import time
from typing import Any
from unittest import mock

from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory

from accounts.models import User
from authn import staff_sign_in
from fluxiq.errors import ServiceUnavailable
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD, UserFactory

WRONG = "Invalid document or password"


class AdminSignInTests(ConsoleTestCase):
    def try_in(self, document: str, password: str = PASSWORD, **extra: Any) -> Any:
        fields = {"username": document, "password": password, "next": "/admin/"}
        return self.client.post("/admin/login/", fields, **extra)

    def errors(self, response: Any) -> list[str]:
        return [m for messages in response.context["form"].errors.values() for m in messages]

    def cpf(self, user: User) -> str:
        d = user.document
        return f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}"

    def test_a_bare_document_signs_in(self) -> None:
        response = self.try_in(self.sam.document)
        assert response.status_code == 302
        assert response.headers["Location"] == "/admin/"
        assert self.look("")

    def test_a_punctuated_cpf_with_spaces_around_signs_in(self) -> None:
        assert self.try_in(f"  {self.cpf(self.sam)}  ").status_code == 302

    def test_a_punctuated_cnpj_signs_in(self) -> None:
        UserFactory.create(document="12ABC34501DE35", is_staff=True)
        assert self.try_in("12.abc.345/01DE-35").status_code == 302

    def test_the_field_has_room_for_punctuation(self) -> None:
        assert 'maxlength="32"' in self.look("login/")

    def test_a_document_of_33_characters_is_not_even_tried(self) -> None:
        with mock.patch("authn.passwords.prove") as prove:
            response = self.try_in("1" * 33)
        assert response.status_code == 200
        prove.assert_not_called()

    def test_every_fault_is_told_in_the_same_words(self) -> None:
        retired = UserFactory.create(is_staff=True)
        retired.deactivate("left")
        for document, password in (
            (self.sam.document, "a wrong password"),
            ("99999999999", PASSWORD),
            ("no document", PASSWORD),
            (self.olga.document, PASSWORD),  # who is no staff
            (retired.document, PASSWORD),
        ):
            response = self.try_in(document, password)
            assert response.status_code == 200
            assert self.errors(response) == [WRONG]
            assert "_auth_user_id" not in self.client.session

    def test_the_sixth_attempt_after_five_failures_is_429_right_password_or_not(self) -> None:
        for _ in range(5):
            assert self.try_in(self.sam.document, "a wrong password").status_code == 200
        with mock.patch("accounts.models.User.check_password") as check:
            response = self.try_in(self.cpf(self.sam))
        check.assert_not_called()
        assert response.status_code == 429
        seconds = int(response.headers["Retry-After"])
        assert 1 <= seconds <= 900
        assert self.errors(response) == [
            f"Too many failed attempts. Retry after {seconds} seconds."
        ]
        assert f"Retry after {seconds} seconds" in response.content.decode()

    def test_the_right_password_of_who_is_no_staff_counts_as_a_failure(self) -> None:
        for _ in range(5):
            assert self.try_in(self.olga.document).status_code == 200
        assert self.try_in(self.olga.document).status_code == 429

    def test_a_success_counts_as_no_failure(self) -> None:
        for _ in range(7):
            assert self.try_in(self.sam.document).status_code == 302
            self.client.logout()

    def test_failures_at_the_api_count_here_too(self) -> None:
        body = {"document": self.sam.document, "password": "a wrong password"}
        for _ in range(5):
            assert self.post("/auth/login", body=body).status_code == 401
        assert self.try_in(self.sam.document).status_code == 429

    def test_the_eleventh_try_of_a_minute_from_one_address_is_429_before_any_hashing(self) -> None:
        for number in range(9):
            assert self.try_in(f"{70_000_000_000 + number}").status_code == 200
        assert self.try_in(self.sam.document).status_code == 302  # which counts too
        with mock.patch("django.contrib.auth.hashers.MD5PasswordHasher.encode") as hashing:
            response = self.try_in(self.sam.document)
        hashing.assert_not_called()
        assert response.status_code == 429
        seconds = int(response.headers["Retry-After"])
        assert 1 <= seconds <= 60
        assert self.errors(response) == [
            f"Too many sign-ins from your address. Retry after {seconds} seconds."
        ]
        with mock.patch("time.time", return_value=time.time() + seconds):
            assert self.try_in(self.sam.document).status_code == 302

    def test_tries_are_counted_by_address_and_an_ipv6_network_is_one(self) -> None:
        for number in range(10):
            self.try_in("no document", REMOTE_ADDR=f"2001:db8::{number}")
        assert self.try_in(self.sam.document, REMOTE_ADDR="2001:db8::ffff").status_code == 429
        assert self.try_in(self.sam.document, REMOTE_ADDR="2001:db8:0:1::1").status_code == 302

    def test_tries_here_and_requests_to_the_api_count_apart(self) -> None:
        answers = [self.try_in(f"no document {number}") for number in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert self.get("/auth/me").headers["X-RateLimit-Remaining"] == "9"

    def test_signing_in_is_audited_with_the_staff_member_as_actor(self) -> None:
        self.try_in(self.sam.document, REMOTE_ADDR="203.0.113.9")
        (event,) = self.events("staff.signed_in")
        assert (event.actor_kind, event.actor_id) == ("staff", self.sam.id)
        assert event.object_id == self.sam.id
        assert event.address == "203.0.113.9"

    def test_a_failure_is_not_audited_as_a_sign_in(self) -> None:
        self.try_in(self.sam.document, "a wrong password")
        self.try_in(self.olga.document)
        assert self.events("staff.signed_in") == []

    def test_a_busy_hasher_is_503_and_no_failure(self) -> None:
        busy = ServiceUnavailable(retry_after=2)
        with mock.patch("accounts.models.User.check_password", side_effect=busy):
            for _ in range(6):
                response = self.try_in(self.sam.document)
                assert response.status_code == 503
                assert response.headers["Retry-After"] == "2"
                assert "Retry after 2 seconds" in response.content.decode()
        assert self.try_in(self.sam.document).status_code == 302

    def test_the_session_gets_a_new_key(self) -> None:
        session = self.client.session
        session["planted"] = True
        session.save()
        planted = session.session_key
        self.try_in(self.sam.document)
        assert self.client.session.session_key != planted

    def test_it_leads_to_no_foreign_site(self) -> None:
        response = self.client.post(
            "/admin/login/",
            {
                "username": self.sam.document,
                "password": PASSWORD,
                "next": "https://evil.example/admin/",
            },
        )
        assert response.headers["Location"].startswith("/")

    def test_a_form_without_the_csrf_token_is_refused(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        response = strict.post(
            "/admin/login/", {"username": self.sam.document, "password": PASSWORD}
        )
        assert response.status_code == 403

    def test_the_page_is_not_to_be_stored(self) -> None:
        assert "no-store" in self.try_in(self.sam.document, "wrong").headers["Cache-Control"]

    def test_the_greeting_shows_the_name_and_not_the_document(self) -> None:
        self.try_in(self.sam.document)
        page = self.look("")
        assert "Sam" in page
        assert self.sam.document not in page

    def test_who_is_no_longer_staff_does_not_see_the_document_on_the_sign_in_page(self) -> None:
        self.enter(self.sam)
        User.objects.filter(pk=self.sam.pk).update(is_staff=False)
        assert self.sam.document not in self.look("login/")
        page = self.try_in("no document").content.decode()
        assert self.sam.masked_document in page
        assert self.sam.document not in page

    def test_a_deactivated_member_of_staff_is_out_at_the_next_request(self) -> None:
        self.enter(self.sam)
        self.sam.deactivate("left")
        self.look("", expect=302)

    def test_who_is_no_staff_is_led_to_the_sign_in(self) -> None:
        self.client.force_login(self.olga)
        response = self.client.get("/admin/authn/apikey/")
        assert response.headers["Location"].startswith("/admin/login/")

    def test_nobody_is_not_signed_in(self) -> None:
        request = RequestFactory().get("/admin/")
        request.session, request.user = self.client.session, AnonymousUser()
        assert not staff_sign_in.is_signed_in(request)
