"""People at the staff console: found without their documents, and added."""

from typing import Any
from unittest import mock

from django.db import IntegrityError

from accounts.models import User, UserManager
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
