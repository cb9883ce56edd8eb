"""What the console's sign-in judged with the password it judges again, under the user's lock."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test import Client, TransactionTestCase, override_settings

from accounts.models import User
from authn import passwords, sessions
from authn.tests.second_step import ENROL, LOGIN, SecondStepCase
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.factories import PASSWORD, UserFactory, enrol

NEW = "a brand new battery"


class JudgedAgainTests(SecondStepCase):
    def sign_in_while(self, change: Callable[[User], object]) -> Any:
        """Sam's password is found right; then comes the change, and then what is left to do."""
        check = User.check_password

        def check_and_change(user: User, password: str) -> bool:
            is_right = check(user, password)
            change(User.objects.get(pk=user.pk))
            return is_right

        with mock.patch("accounts.models.User.check_password", check_and_change):
            return self.password()

    def test_whatever_is_taken_away_meanwhile_refuses(self) -> None:
        def deactivate_and_reactivate(user: User) -> None:
            user.deactivate("holiday")
            user.reactivate()

        changes: dict[str, Callable[[User], object]] = {
            "password reset": lambda user: passwords.reset(user, NEW),
            "password withdrawn": lambda user: passwords.withdraw(user, "leaked"),
            "staff no longer": lambda user: User.objects.filter(pk=user.pk).update(is_staff=False),
            "all sessions ended": lambda user: sessions.end_all(user, "ended"),
            "deactivated": lambda user: user.deactivate("left"),
            "deactivated and reactivated": deactivate_and_reactivate,
            "second factor enrolled": enrol,
        }
        for name, change in changes.items():
            with transaction.atomic():
                response = self.sign_in_while(change)
                assert response.status_code == 200, name
                assert self.errors(response) == ["Invalid document or password"], name
                assert "_auth_user_id" not in self.client.session, name
                assert self.events("staff.signed_in") == [], name
                transaction.set_rollback(True)
            self.client.cookies.clear()
            self.forget_counts()

    def test_what_concerns_somebody_else_does_not(self) -> None:
        response = self.sign_in_while(lambda _: passwords.reset(self.olga, NEW))
        assert self.led_to(response) == "/admin/"
        assert self.is_in()

    def test_a_superuser_of_whom_a_second_factor_is_required_meanwhile_enrols(self) -> None:
        def promote(user: User) -> None:
            User.objects.filter(pk=user.pk).update(is_superuser=True)

        with override_settings(MFA_REQUIRED_FOR_SUPERUSERS=True):
            assert self.errors(self.sign_in_while(promote)) == ["Invalid document or password"]
            assert self.led_to(self.password()) == ENROL

    @override_settings(MFA_REQUIRED_FOR_STAFF=True)
    def test_an_enrolment_ends_with_the_password_that_began_it(self) -> None:
        assert self.led_to(self.sign_in_while(lambda user: passwords.reset(user, NEW))) == ENROL
        assert self.led_to(self.client.get(ENROL)) == LOGIN


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
class LockedTests(TransactionTestCase):
    def test_a_reset_that_has_the_lock_goes_first(self) -> None:
        sam = UserFactory.create(is_staff=True)
        changed, waits = Event(), Event()

        def reset() -> None:
            with transaction.atomic():
                passwords.reset(User.objects.get(pk=sam.pk), NEW)
                changed.set()
                waits.wait(10)
            connection.close()

        def tell(execute: Any, sql: str, *rest: Any) -> Any:
            if "FOR NO KEY UPDATE" in sql:
                waits.set()
            return execute(sql, *rest)

        other = Thread(target=reset)
        other.start()
        assert changed.wait(10)
        client = Client()
        with connection.execute_wrapper(tell):
            client.post(LOGIN, {"username": sam.document, "password": PASSWORD})
        other.join()
        assert client.get("/admin/").status_code == 302
        assert not AuditEvent.objects.filter(kind="staff.signed_in").exists()
