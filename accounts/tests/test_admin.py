"""People and groups at the staff console: who may change whom, and what is told of it."""

from typing import Any
from unittest import mock

from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError

from accounts.models import User, UserManager
from authn.models import Session
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD, UserFactory

LIST = "accounts/user/"


class UserListTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)

    def test_documents_are_masked(self) -> None:
        page = self.look(LIST)
        assert self.olga.masked_document in page
        assert self.olga.document not in page

    def test_a_person_is_found_by_the_beginning_of_the_document_and_by_name(self) -> None:
        UserFactory.create(document="98765432100", name="Zelda")
        UserFactory.create(document="12ABC34501DE35", name="Firma")
        for text in ("987.654", "98765432100", "987.654.321-00", " 987 654 ", "zel"):
            page = self.look(LIST, q=text)
            assert "Zelda" in page
            assert "Olga" not in page
        assert "Firma" in self.look(LIST, q="12.abc.345/01")
        assert "Olga" in self.look(LIST, q=self.olga.id)

    def test_a_hash_cannot_be_asked_for_letter_by_letter(self) -> None:
        self.look(LIST, 400, password__startswith="md5")

    def test_the_list_costs_as_many_queries_for_many_people(self) -> None:
        self.assert_queries_do_not_grow(LIST, UserFactory.create)

    def test_staff_without_a_permission_get_403(self) -> None:
        self.enter(self.sam)
        for path in (LIST, LIST + "add/", f"{LIST}{self.olga.pk}/change/"):
            assert "no permission for this page" in self.look(path, 403)

    def test_nobody_is_deleted(self) -> None:
        self.look(f"{LIST}{self.olga.pk}/delete/", 403)
        self.act(LIST, "delete_selected", self.olga)
        assert User.objects.filter(pk=self.olga.pk).exists()


class AddUserTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)

    def add(self, expect: int = 302, **changes: Any) -> Any:
        fields = {
            "document": "987.654.321-00",
            "name": "Zelda",
            "email": "",
            "password1": PASSWORD,
            "password2": PASSWORD,
        }
        return self.send(LIST + "add/", expect, **fields | changes)

    def errors(self, **changes: Any) -> dict[str, list[str]]:
        response = self.add(200, **changes)
        found: dict[str, list[str]] = response.context["adminform"].form.errors
        return found

    def test_a_person_is_made_with_the_bare_document_and_a_password(self) -> None:
        response = self.add()
        user = User.objects.get(document="98765432100")
        assert user.check_password(PASSWORD)
        assert not user.is_staff
        assert not user.is_superuser
        assert user.masked_document in self.said(response)[0]

    def test_it_is_audited_with_the_staff_member_as_actor(self) -> None:
        self.add()
        (event,) = self.events("user.created", actor_kind="staff")
        assert event.actor_id == self.root.id
        assert event.object_id == User.objects.get(document="98765432100").id

    def test_nobody_is_made_staff_by_the_way(self) -> None:
        self.add(is_staff="on", is_superuser="on")
        user = User.objects.get(document="98765432100")
        assert not user.is_staff
        assert not user.is_superuser

    def test_what_is_no_document_is_refused(self) -> None:
        for document in ("", "1", "123.456.789", "x" * 33, "１２３４５６７８９０１"):  # noqa: RUF001 - wide digits
            assert list(self.errors(document=document)) == ["document"]

    def test_a_document_that_is_known_is_refused_however_it_is_written(self) -> None:
        self.add()
        assert list(self.errors()) == ["document"]
        assert list(self.errors(document="98765432100")) == ["document"]

    def test_wrong_check_digits_are_refused_where_they_are_verified(self) -> None:
        with self.settings(VERIFY_DOCUMENT_CHECK_DIGITS=True):
            assert list(self.errors(document="987.654.321-01")) == ["document"]
            self.add()

    def test_one_registered_at_this_moment_is_told(self) -> None:
        with mock.patch.object(UserManager, "register", side_effect=IntegrityError):
            response = self.add(200)
        assert self.refusals(response) == ["A user with this document exists already"]

    def test_an_unfit_password_is_refused(self) -> None:
        assert list(self.errors(password1="short", password2="short")) == ["password2"]
        assert list(self.errors(password2="another battery")) == ["password2"]


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


class GroupTests(ConsoleTestCase):
    def test_plain_staff_cannot_raise_themselves_through_their_group(self) -> None:
        group = Group.objects.create(name="Support")
        self.sam.groups.add(group)
        self.enter(self.sam, "auth.change_group", "auth.view_group", "auth.add_group")
        permission = Permission.objects.get(codename="add_apikey")
        path = f"auth/group/{group.pk}/change/"
        self.send(path, 403, name="Support", permissions=[permission.pk])
        self.look("auth/group/add/", 403)
        assert not group.permissions.exists()

    def test_what_a_superuser_changes_is_audited(self) -> None:
        self.enter(self.root)
        permission = Permission.objects.get(codename="add_apikey")
        self.send("auth/group/add/", name="Support", permissions=[permission.pk])
        group = Group.objects.get(name="Support")
        self.send(f"auth/group/{group.pk}/change/", name="Support", permissions=[])
        self.send(f"auth/group/{group.pk}/delete/", post="yes")
        Group.objects.create(name="Other")
        self.act("auth/group/", "delete_selected", Group.objects.get(name="Other"))
        added, changed, deleted, _ = self.events("staff.action", actor_id=self.root.id)
        assert added.object_id == f"group_{group.pk}"
        assert added.after == {"name": "Support", "permissions": [str(permission)]}
        assert changed.before == {"permissions": [str(permission)]}
        assert changed.after == {"permissions": []}
        assert (deleted.before, deleted.after) == ({"name": "Support"}, {})
        assert not Group.objects.filter(name__in=["Support", "Other"]).exists()
