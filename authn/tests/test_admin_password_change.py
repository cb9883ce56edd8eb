"""Staff change their own password at the console, and set those of others."""

from typing import Any
from unittest import mock

from django.test import Client

from accounts.models import User
from fluxiq.errors import ServiceUnavailable
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD

NEW = "a brand new battery"


class OwnPasswordTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.sam)

    def change(self, current: str = PASSWORD, new: str = NEW, again: str = NEW) -> Any:
        fields = {"old_password": current, "new_password1": new, "new_password2": again}
        return self.client.post("/admin/password_change/", fields)

    def errors(self, response: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = response.context["form"].errors
        return found

    def test_the_new_password_holds_and_the_console_goes_on(self) -> None:
        assert self.change().headers["Location"] == "/admin/password_change/done/"
        self.look("")
        assert User.objects.get(pk=self.sam.pk).check_password(NEW)

    def test_every_session_at_the_api_ends(self) -> None:
        tokens = self.sign_in(self.sam)
        self.change()
        self.assert_unauthorized(self.get("/auth/me", tokens.access_token))

    def test_it_is_audited(self) -> None:
        self.change()
        (event,) = self.events("user.password_changed")
        assert (event.actor_kind, event.actor_id) == ("staff", self.sam.id)

    def test_a_wrong_present_password_is_refused(self) -> None:
        response = self.change(current="a wrong password")
        assert self.errors(response) == {"old_password": ["Wrong password."]}
        assert User.objects.get(pk=self.sam.pk).check_password(PASSWORD)

    def test_guessing_the_present_password_is_throttled(self) -> None:
        for _ in range(5):
            assert self.change(current="a wrong password").status_code == 200
        response = self.change()
        assert response.status_code == 429
        assert response.headers["Retry-After"] in response.content.decode()
        assert User.objects.get(pk=self.sam.pk).check_password(PASSWORD)

    def test_an_unfit_new_password_is_refused(self) -> None:
        assert "new_password2" in self.errors(self.change(new="short", again="short"))
        assert "new_password2" in self.errors(self.change(again="another battery"))


class SetPasswordTests(ConsoleTestCase):
    def set(self, user: User, new: str = NEW, expect: int = 302) -> Any:
        return self.send(
            f"accounts/user/{user.pk}/password/", expect, new_password1=new, new_password2=new
        )

    def test_the_password_holds_and_every_session_ends(self) -> None:
        self.enter(self.root)
        tokens = self.sign_in(self.olga)
        self.set(self.olga)
        assert User.objects.get(pk=self.olga.pk).check_password(NEW)
        self.assert_unauthorized(self.get("/auth/me", tokens.access_token))

    def test_a_colleagues_session_at_the_console_ends_too(self) -> None:
        colleague = Client()
        colleague.force_login(self.sam)
        assert colleague.get("/admin/").status_code == 200
        self.enter(self.root)
        self.set(self.sam)
        assert colleague.get("/admin/").status_code == 302

    def test_it_is_audited_with_the_staff_member_as_actor(self) -> None:
        self.enter(self.root)
        self.set(self.olga)
        (event,) = self.events("user.password_reset", object_id=self.olga.id)
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)

    def test_an_unfit_password_is_refused(self) -> None:
        self.enter(self.root)
        response = self.set(self.olga, "short", expect=200)
        assert response.context["form"].errors["new_password2"] == [
            "A password has 12 to 1024 characters."
        ]
        assert User.objects.get(pk=self.olga.pk).check_password(PASSWORD)

    def test_staff_with_the_permission_set_the_password_of_who_is_no_staff(self) -> None:
        self.enter(self.sam, "accounts.change_user")
        self.set(self.olga)

    def test_staff_cannot_take_over_a_superuser_or_a_colleague(self) -> None:
        self.enter(self.sam, "accounts.change_user")
        colleague = User.objects.create_user("98765432100", PASSWORD, name="Col", is_staff=True)
        for other in (self.root, colleague):
            self.set(other, expect=403)
            assert User.objects.get(pk=other.pk).check_password(PASSWORD)

    def test_staff_without_the_permission_get_403(self) -> None:
        self.enter(self.sam, "accounts.view_user")
        self.look(f"accounts/user/{self.olga.pk}/password/", 403)

    def test_ones_own_is_changed_by_proving_the_present_one(self) -> None:
        self.enter(self.root)
        assert self.set(self.root).headers["Location"] == "/admin/password_change/"
        assert User.objects.get(pk=self.root.pk).check_password(PASSWORD)

    def test_a_busy_hasher_is_503_and_changes_nothing(self) -> None:
        self.enter(self.root)
        busy = ServiceUnavailable(retry_after=2)
        with mock.patch("authn.passwords.make_password", side_effect=busy):
            response = self.set(self.olga, expect=503)
        assert response.headers["Retry-After"] == "2"
        assert "Nothing was changed." in response.content.decode()
        assert User.objects.get(pk=self.olga.pk).check_password(PASSWORD)
        assert self.events("user.password_reset") == []

    def test_an_unknown_user_is_404(self) -> None:
        self.enter(self.root)
        self.look("accounts/user/usr_nobody/password/", 404)
