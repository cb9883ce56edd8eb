"""People changed, shut out and let in at the staff console: who may, and what is told of it."""

from typing import Any
from unittest import mock

from django.contrib.auth.models import Group, Permission

from accounts.models import User
from authn.models import Session
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD, UserFactory

LIST = "accounts/user/"


class ChangeUserTests(ConsoleTestCase):
    def page(self, user: User) -> str:
        return f"{LIST}{user.pk}/change/"

    def change(self, user: User, expect: int = 302, **changes: Any) -> Any:
        return self.send(self.page(user), expect, **{"name": user.name, "email": ""} | changes)

    def test_name_and_email_are_changed_and_audited(self) -> None:
        self.enter(self.root)
        self.change(self.olga, name="Olga II", email="olga@Example.COM")
        user = User.objects.get(pk=self.olga.pk)
        assert (user.name, user.email) == ("Olga II", "olga@example.com")
        (event,) = self.events("user.changed")
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)
        assert event.object_id == self.olga.id
        assert event.before == {"name": "Olga", "email": ""}
        assert event.after == {"name": "Olga II", "email": "olga@example.com"}

    def test_a_superuser_gives_privileges_and_that_is_audited(self) -> None:
        self.enter(self.root)
        group = Group.objects.create(name="Support")
        permission = Permission.objects.get(codename="view_apikey")
        self.change(self.olga, is_staff="on", groups=[group.pk], user_permissions=[permission.pk])
        user = User.objects.get(pk=self.olga.pk)
        assert user.is_staff
        assert list(user.groups.all()) == [group]
        assert user.has_perm("authn.view_apikey")
        (event,) = self.events("user.changed")
        assert event.before == {"is_staff": False, "groups": [], "user_permissions": []}
        assert event.after["is_staff"] is True
        assert event.after["groups"] == ["Support"]
        assert event.after["user_permissions"] == [str(permission)]

    def test_nothing_changed_is_nothing_audited(self) -> None:
        self.enter(self.root)
        self.change(self.olga)
        assert self.events("user.changed") == []

    def test_the_document_and_the_state_are_no_fields(self) -> None:
        self.enter(self.root)
        self.change(self.olga, document="98765432100", is_active="", password="x", id="usr_x")
        user = User.objects.get(pk=self.olga.pk)
        assert user.document == self.olga.document
        assert user.is_active
        assert user.check_password(PASSWORD)

    def test_saving_a_form_does_not_undo_a_deactivation_meanwhile(self) -> None:
        self.enter(self.root)
        saved = User.save

        def deactivated_meanwhile(user: User, *args: Any, **kwargs: Any) -> None:
            User.objects.filter(pk=user.pk).update(is_active=False)
            saved(user, *args, **kwargs)

        with mock.patch.object(User, "save", deactivated_meanwhile):
            self.change(self.olga, name="Olga II")
        user = User.objects.get(pk=self.olga.pk)
        assert (user.name, user.is_active) == ("Olga II", False)

    def test_plain_staff_change_name_and_email_alone(self) -> None:
        self.enter(self.sam, "accounts.change_user")
        group = Group.objects.create(name="Support")
        self.change(
            self.olga,
            name="Olga II",
            is_staff="on",
            is_superuser="on",
            groups=[group.pk],
            user_permissions=[Permission.objects.get(codename="view_apikey").pk],
        )
        user = User.objects.get(pk=self.olga.pk)
        assert user.name == "Olga II"
        assert not user.is_staff
        assert not user.is_superuser
        assert not user.groups.exists()
        assert not user.user_permissions.exists()

    def test_plain_staff_cannot_raise_themselves(self) -> None:
        self.enter(self.sam, "accounts.change_user")
        self.change(self.sam, name="Sam I", is_superuser="on")
        user = User.objects.get(pk=self.sam.pk)
        assert user.name == "Sam I"
        assert not user.is_superuser

    def test_plain_staff_do_not_change_colleagues_or_superusers(self) -> None:
        self.enter(self.sam, "accounts.change_user")
        colleague = UserFactory.create(is_staff=True)
        for other in (self.root, colleague):
            self.look(self.page(other))
            self.change(other, 403, email="mine@example.com")
            self.send(f"{LIST}{other.pk}/deactivate/", 403, confirmed="yes", reason="No")
            self.act(LIST, "deactivate", other, reason="No")
            user = User.objects.get(pk=other.pk)
            assert (user.email, user.is_active) == ("", True)

    def test_a_superuser_does_not_touch_their_own_privileges(self) -> None:
        self.enter(self.root)
        self.change(self.root, name="Root I")
        user = User.objects.get(pk=self.root.pk)
        assert user.name == "Root I"
        assert user.is_superuser

    def test_a_superuser_has_staff_status_too(self) -> None:
        """Or the API would send them to a console that does not let them in."""
        self.enter(self.root)
        response = self.change(self.olga, 200, is_superuser="on")
        assert self.refusals(response) == ["A superuser needs staff status too."]
        assert not User.objects.get(pk=self.olga.pk).is_superuser
        self.change(self.olga, is_superuser="on", is_staff="on")
        assert User.objects.get(pk=self.olga.pk).is_superuser

    def test_who_may_only_look_changes_nothing(self) -> None:
        self.enter(self.sam, "accounts.view_user")
        self.look(self.page(self.olga))
        self.change(self.olga, 403, name="Mine")

    def test_the_history_shows_no_document(self) -> None:
        self.enter(self.root)
        self.change(self.olga, name="Olga II")
        page = self.look(f"{LIST}{self.olga.pk}/history/")
        assert "Root" in page
        assert self.root.document not in page

    def test_who_has_a_document_that_no_longer_verifies_can_be_changed(self) -> None:
        self.enter(self.root)
        with self.settings(VERIFY_DOCUMENT_CHECK_DIGITS=True):
            self.change(self.olga, name="Olga II")
        user = User.objects.get(pk=self.olga.pk)
        assert (user.name, user.document) == ("Olga II", self.olga.document)


class DeactivateTests(ConsoleTestCase):
    def test_it_is_confirmed_with_a_reason_ends_the_sessions_and_is_audited(self) -> None:
        self.enter(self.root)
        tokens = self.sign_in(self.olga)
        self.look(f"{LIST}{self.olga.pk}/deactivate/")
        self.send(f"{LIST}{self.olga.pk}/deactivate/", 200, confirmed="yes")
        assert User.objects.get(pk=self.olga.pk).is_active
        self.send(f"{LIST}{self.olga.pk}/deactivate/", confirmed="yes", reason="Left")
        assert not User.objects.get(pk=self.olga.pk).is_active
        self.assert_unauthorized(self.get("/auth/me", tokens.access_token))
        (event,) = self.events("user.deactivated")
        assert (event.actor_id, event.before) == (self.root.id, {"is_active": True})
        assert event.after == {"is_active": False, "reason": "Left"}

    def test_many_are_deactivated_from_the_list(self) -> None:
        self.enter(self.root)
        asked = self.client.post(
            "/admin/" + LIST,
            {"action": "deactivate", "_selected_action": [self.olga.pk, self.ana.pk]},
        )
        assert "Olga" in asked.content.decode()
        assert User.objects.filter(is_active=False).count() == 0
        self.act(LIST, "deactivate", self.olga, self.ana, reason="Fraud")
        assert set(User.objects.filter(is_active=False)) == {self.olga, self.ana}

    def test_reactivating_lets_in_again_without_the_old_sessions(self) -> None:
        self.enter(self.root)
        self.sign_in(self.olga)
        self.olga.deactivate("by mistake")
        self.send(f"{LIST}{self.olga.pk}/reactivate/", confirmed="yes")
        assert User.objects.get(pk=self.olga.pk).is_active
        assert not Session.objects.live().filter(user=self.olga).exists()
        assert len(self.events("user.reactivated")) == 1

    def test_nobody_shuts_themselves_out(self) -> None:
        self.enter(self.root)
        self.look(f"{LIST}{self.root.pk}/deactivate/", 403)
        response = self.act(LIST, "deactivate", self.root, self.olga, reason="Oops")
        assert self.said(response)[0].startswith("You may not do this to Root")
        assert User.objects.filter(is_active=False).count() == 0

    def test_who_may_only_look_deactivates_nobody(self) -> None:
        self.enter(self.sam, "accounts.view_user")
        self.look(f"{LIST}{self.olga.pk}/deactivate/", 403)
        self.assert_no_action(LIST, "deactivate", self.olga)
        assert User.objects.get(pk=self.olga.pk).is_active
