"""`create_user`."""

import io
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts.models import User
from authn.management.commands import create_user
from authn.tests.commands import CommandTestCase
from fluxiq.principals import Kind, Principal
from fluxiq.scopes import Role
from merchants.models import Membership

DOCUMENT = "55566677788"
PASSWORD = "correct horse battery"
NEW = ("create_user", DOCUMENT, "--name", "Nina", "--password-stdin")


class CreateUserTests(CommandTestCase):
    def test_it_makes_a_user_who_can_sign_in(self) -> None:
        result = self.result(*NEW, stdin=PASSWORD + "\n")
        assert result == {"id": User.objects.get(document=DOCUMENT).id}
        body = {"document": "555.666.777-88", "password": PASSWORD}
        self.data(self.post("/auth/login", body=body))

    def test_a_new_user_holds_nothing_that_was_not_given(self) -> None:
        self.run_command(*NEW, stdin=PASSWORD)
        nina = User.objects.get(document=DOCUMENT)
        assert not nina.is_superuser
        assert not nina.is_staff
        assert not nina.memberships.exists()

    def test_with_merchant_and_role_the_user_is_a_member_at_once(self) -> None:
        self.run_command(*NEW, "--merchant", self.bakery.id, "--role", "manager", stdin=PASSWORD)
        membership = Membership.objects.get(user__document=DOCUMENT)
        assert (membership.merchant, membership.role) == (self.bakery, Role.MANAGER)

    def test_superuser_makes_platform_staff(self) -> None:
        self.run_command(*NEW, "--superuser", stdin=PASSWORD)
        nina = User.objects.get(document=DOCUMENT)
        assert nina.is_superuser
        assert nina.is_staff

    def test_staff_may_enter_the_console_and_holds_no_more(self) -> None:
        self.run_command(*NEW, "--staff", "--email", "nina@example.com", stdin=PASSWORD)
        nina = User.objects.get(document=DOCUMENT)
        assert nina.is_staff
        assert not nina.is_superuser
        assert nina.email == "nina@example.com"

    def test_a_password_on_standard_input_keeps_all_but_one_final_newline(self) -> None:
        self.run_command(*NEW, stdin="  spaces are kept \n\n")
        assert User.objects.get(document=DOCUMENT).check_password("  spaces are kept \n")

    def test_an_unfit_password_is_refused_and_nobody_made(self) -> None:
        for password, reason in (
            ("short", "password: A password has 12 to 1024 characters."),
            ("", "password: This field may not be blank."),
            ("a" * 1025, "password: Ensure this field has no more than 1024 characters."),
        ):
            assert self.refusal(*NEW, stdin=password) == reason
        assert not User.objects.filter(document=DOCUMENT).exists()

    def test_a_refused_membership_undoes_the_user(self) -> None:
        Membership.objects.invite(
            Principal(Kind.USER, self.root.id, self.root.name, is_superuser=True),
            self.bakery,
            document=DOCUMENT,
            name="Nina",
            role=Role.OPERATOR,
        )
        place = ("--merchant", self.bakery.id, "--role", "owner")
        refusal = self.refusal(*NEW, *place, stdin=PASSWORD)
        assert refusal == "This document is a member of the merchant already"
        assert not User.objects.filter(document=DOCUMENT).exists()

    def test_who_comes_second_with_one_document_is_refused(self) -> None:
        def first(*arguments: Any, **fields: Any) -> None:
            raise IntegrityError

        with mock.patch("authn.management.commands.create_user.User.objects.create_user", first):
            refusal = self.refusal(*NEW, stdin=PASSWORD)
        assert refusal == "A user with this document was made at this moment"

    def test_a_password_that_is_not_utf8_is_refused(self) -> None:
        piped = io.TextIOWrapper(io.BytesIO(b"\xff" * 12), encoding="utf-8")
        with (
            mock.patch("sys.stdin", piped),
            pytest.raises(CommandError, match="the password on standard input is not UTF-8"),
        ):
            call_command(*NEW, stdout=io.StringIO())
        assert not User.objects.filter(document=DOCUMENT).exists()

    def test_bad_options_are_refused_before_a_password_is_read(self) -> None:
        for arguments, reason in (
            (("create_user", "123", "--name", "N"), "document: A CPF has 11 digits"),
            (("create_user", DOCUMENT), "--name is required for a new user"),
            ((*NEW, "--email", "nobody"), "email: Enter a valid email address."),
            ((*NEW, "--role", "owner"), "--merchant and --role go together"),
            ((*NEW, "--merchant", self.bakery.id), "--merchant and --role go together"),
            ((*NEW, "--merchant", "", "--role", "owner"), "there is no merchant ''"),
            ((*NEW, "--merchant", "mer_x", "--role", "owner"), "there is no merchant 'mer_x'"),
            ((*NEW, "--merchant", self.bakery.id, "--role", "boss"), "invalid choice: 'boss'"),
        ):
            with (
                self.subTest(arguments),
                mock.patch.object(create_user, "_piped_password", side_effect=AssertionError),
            ):
                assert reason in self.refusal(*arguments)


class ExistingUserTests(CommandTestCase):
    def test_a_user_who_exists_is_given_the_membership_and_keeps_the_rest(self) -> None:
        before = User.objects.get(pk=self.ana.pk)
        result = self.result(
            *("create_user", self.ana.document, "--name", "Another name"),
            *("--merchant", self.bakery.id, "--role", "operator", "--password-stdin"),
            stdin="another password",
        )
        after = User.objects.get(pk=self.ana.pk)
        assert result == {"id": self.ana.id}
        assert self.membership(self.ana).role == Role.OPERATOR
        assert (after.name, after.password) == (before.name, before.password)

    def test_no_password_is_asked_of_a_user_who_exists(self) -> None:
        with mock.patch.object(create_user, "_typed_password", side_effect=AssertionError):
            self.run_command(
                "create_user", self.ana.document, "--merchant", self.bakery.id, "--role", "owner"
            )
        assert Membership.objects.filter(user=self.ana, merchant=self.bakery).exists()

    def test_a_second_membership_at_one_merchant_is_refused(self) -> None:
        place = ("--merchant", self.bakery.id, "--role", "owner")
        refusal = self.refusal("create_user", self.mario.document, *place)
        assert refusal == "This document is a member of the merchant already"
        assert self.membership(self.mario).role == Role.MANAGER

    def test_a_user_who_exists_without_a_merchant_to_join_is_refused(self) -> None:
        refusal = self.refusal("create_user", self.ana.document, "--name", "Ana")
        assert refusal == "a user with this document exists; --merchant adds a membership"

    def test_a_user_who_exists_is_not_raised_to_staff(self) -> None:
        place = ("--merchant", self.bakery.id, "--role", "owner")
        for option in (("--superuser",), ("--staff",), ("--email", "ana@example.com")):
            with self.subTest(option):
                refusal = self.refusal("create_user", self.ana.document, *place, *option)
                assert "are for new ones" in refusal
        self.ana.refresh_from_db()
        assert (self.ana.is_superuser, self.ana.is_staff, self.ana.email) == (False, False, "")
        assert not Membership.objects.filter(user=self.ana, merchant=self.bakery).exists()


class TypedPasswordTests(CommandTestCase):
    """At a terminal."""

    def create(self, *typed: object) -> None:
        """Make Nina, whose password is typed like this."""
        terminal = io.StringIO()
        with (
            mock.patch.object(terminal, "isatty", return_value=True),
            mock.patch("sys.stdin", terminal),
            mock.patch.object(create_user, "getpass", side_effect=typed),
        ):
            call_command("create_user", DOCUMENT, "--name", "Nina", stdout=io.StringIO())

    def test_the_password_is_asked_for_twice(self) -> None:
        self.create(PASSWORD, PASSWORD)
        assert User.objects.get(document=DOCUMENT).check_password(PASSWORD)

    def test_two_different_passwords_are_refused(self) -> None:
        with pytest.raises(CommandError, match="the two passwords differ"):
            self.create(PASSWORD, PASSWORD + " ")
        assert not User.objects.filter(document=DOCUMENT).exists()

    def test_leaving_the_question_is_no_traceback(self) -> None:
        with pytest.raises(CommandError, match="no password was typed"):
            self.create(EOFError())
        with pytest.raises(CommandError, match="interrupted") as refused:
            self.create(KeyboardInterrupt())
        assert refused.value.returncode == 130

    def test_without_a_terminal_the_question_is_refused(self) -> None:
        refusal = self.refusal("create_user", DOCUMENT, "--name", "Nina")
        assert refusal == "there is no terminal to ask for the password at: use --password-stdin"
