"""Whoever is signed out everywhere is: a sign-in that was begun before gives nothing back."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.hashers import get_hasher
from django.core.management import call_command
from django.test import Client, override_settings

from accounts.models import User
from authn import passwords
from authn.mfa import factors
from authn.models import TotpFactor
from authn.tests.second_step import CODE, ENROL, LOGIN, SecondStepCase
from fluxiq.errors import INVALID_CHALLENGE
from fluxiq.tests.factories import PASSWORD, Phone, enrol

Way = Callable[[User], object]


@override_settings(RATE_LIMIT_ANONYMOUS=(10_000, 60), RATE_LIMIT_JWT=(10_000, 60))
class SignedOutCase(SecondStepCase):
    """`sam`, and every way to end all that he has begun."""

    def ways(self) -> dict[str, Way]:
        return {
            "deactivated and reactivated": self.deactivate_and_reactivate,
            "sessions ended at the API": self.end_at_the_api,
            "sessions ended by a command": lambda u: call_command("end_sessions", u.pk, "--json"),
            "everybody's sessions ended": lambda u: call_command("end_sessions", "--all", "--json"),
            "sessions ended at the console": self.end_at_the_console,
            "password reset to the same": lambda u: passwords.reset(self.again(u), PASSWORD),
            "password withdrawn, and then as before": self.withdraw_password,
        }

    def again(self, user: User) -> User:
        """The user as the database has them."""
        return User.objects.get(pk=user.pk)

    def deactivate_and_reactivate(self, user: User) -> None:
        self.again(user).deactivate("holiday")
        self.again(user).reactivate()

    def end_at_the_api(self, user: User) -> None:
        token = self.sign_in(user).access_token
        assert self.delete("/auth/sessions", token).status_code == 204

    def end_at_the_console(self, user: User) -> None:
        staff = Client()
        staff.force_login(self.again(self.root))
        path = f"/admin/accounts/user/{user.pk}/end-sessions/"
        assert staff.post(path, {"confirmed": "yes"}).status_code == 302

    def withdraw_password(self, user: User) -> None:
        kept = self.again(user).password
        passwords.withdraw(self.again(user), "leaked")
        User.objects.filter(pk=user.pk).update(password=kept)


class WithSecondFactorTests(SignedOutCase):
    phone: Phone

    def setUp(self) -> None:
        super().setUp()
        self.phone = enrol(self.sam)

    def ways(self) -> dict[str, Way]:
        return {**super().ways(), "second factor reset and enrolled anew": self.enrol_anew}

    def enrol_anew(self, user: User) -> None:
        assert factors.reset(self.again(user), "lost")
        self.phone = enrol(self.again(user))

    def move_to_another_phone(self, user: User) -> None:
        proposed = factors.enrol(
            self.again(user), current_password=PASSWORD, code=self.fresh_code(), session_id=None
        )
        self.phone = Phone(proposed.secret, ())
        factors.confirm(user.pk, self.phone.code())

    def fresh_code(self) -> str:
        """A code that was not used yet."""
        TotpFactor.objects.update(last_step=0)
        return self.phone.code()

    def challenge(self) -> str:
        body = {"document": self.sam.document, "password": PASSWORD}
        return str(self.error(self.post("/auth/login", None, body), 403)["challenge"])

    def finish(self, challenge: str) -> Any:
        body = {"challenge": challenge, "code": self.fresh_code()}
        return self.post("/auth/login/mfa", None, body)

    def test_a_challenge_from_before_signs_nobody_in(self) -> None:
        ways = {**self.ways(), "moved to another phone": self.move_to_another_phone}
        for name, way in ways.items():
            challenge = self.challenge()
            way(self.sam)
            error = self.error(self.finish(challenge), 401)
            assert error["message"] == INVALID_CHALLENGE, name
            assert self.finish(self.challenge()).status_code == 200, name
            self.forget_counts()

    def test_a_console_sign_in_from_before_is_begun_again(self) -> None:
        for name, way in self.ways().items():
            assert self.led_to(self.password()) == CODE
            way(self.sam)
            assert self.led_to(self.code(self.fresh_code())) == LOGIN, name
            assert not self.is_in(), name
            self.password()
            assert self.led_to(self.code(self.fresh_code())) == "/admin/", name
            self.client.logout()
            self.forget_counts()

    def test_a_console_session_from_before_is_over(self) -> None:
        for name, way in self.ways().items():
            self.password()
            self.code(self.fresh_code())
            assert self.is_in(), name
            way(self.sam)
            assert not self.is_in(), name


class WithPasswordOnlyTests(SignedOutCase):
    def test_a_console_session_from_before_is_over(self) -> None:
        for name, way in self.ways().items():
            self.password()
            assert self.is_in(), name
            way(self.sam)
            assert not self.is_in(), name

    @override_settings(MFA_REQUIRED_FOR_STAFF=True)
    def test_an_enrolment_from_before_is_begun_again(self) -> None:
        for name, way in self.ways().items():
            if "console" in name:  # root, who has none either, reaches no page
                continue
            assert self.led_to(self.password()) == ENROL
            self.client.get(ENROL)
            way(self.sam)
            assert self.led_to(self.client.get(ENROL)) == LOGIN, name

    def test_staff_who_end_a_session_of_the_console_alone_are_in_the_trail(self) -> None:
        self.end_at_the_console(self.sam)
        (event,) = self.events("staff.action", object_id=self.sam.pk)
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.pk)
        assert event.after == {"ended": "all sessions", "reason": "ended by staff"}
        call_command("end_sessions", self.sam.pk, "--reason", "laptop stolen", "--json")
        event = self.events("staff.action", object_id=self.sam.pk)[-1]
        assert event.actor_kind == "command"
        assert event.after == {"ended": "all sessions", "reason": "laptop stolen"}

    def test_sessions_of_others_go_on(self) -> None:
        self.enter(self.root)
        for name, way in self.ways().items():
            if name != "everybody's sessions ended":
                way(self.sam)
                assert self.is_in(), name

    def test_ending_ones_own_sessions_at_the_console_ends_the_one_in_hand(self) -> None:
        self.enter(self.root)
        self.send(f"accounts/user/{self.root.pk}/end-sessions/", confirmed="yes")
        assert not self.is_in()

    def test_a_session_at_the_api_alone_that_ends_leaves_the_console(self) -> None:
        tokens = self.sign_in(self.sam)
        self.password()
        assert self.post("/auth/logout", tokens.access_token).status_code == 204
        assert self.is_in()

    def test_a_password_changed_at_the_console_ends_its_other_sessions_alone(self) -> None:
        other = Client()
        other.force_login(self.sam)
        self.password()
        new = "a brand new battery"
        self.send("password_change/", old_password=PASSWORD, new_password1=new, new_password2=new)
        assert self.is_in()
        assert other.get("/admin/").status_code == 302

    def test_a_hash_that_is_renewed_at_a_sign_in_signs_nobody_out(self) -> None:
        self.password()
        older = get_hasher("argon2").encode(PASSWORD, "a salt of the tests")
        User.objects.filter(pk=self.sam.pk).update(password=older)
        assert self.is_in()
        body = {"document": self.sam.document, "password": PASSWORD}
        assert self.post("/auth/login", None, body).status_code == 200
        assert self.again(self.sam).password != older
        assert self.is_in()
