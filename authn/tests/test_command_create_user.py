"""`create_user`."""

import io
from typing import Any
from unittest import mock

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts.models import User
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

        with mock.patch("authn.management.commands.create_user.User.objects.register", first):
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
                mock.patch("authn.management.given_password.read", side_effect=AssertionError),
            ):
                assert reason in self.refusal(*arguments)


class ExistingUserTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.invite = (
            *("create_user", self.ana.document, "--merchant", self.bakery.id),
            *("--role", "operator"),
        )

    def invited(self) -> Membership:
        found: Membership = Membership.objects.get(document=self.ana.document, merchant=self.bakery)
        return found

    def test_a_user_who_exists_is_invited_and_stays_as_they_are(self) -> None:
        before = User.objects.filter(pk=self.ana.pk).values().get()
        result = self.result(
            *self.invite, "--name", "Another name", "--password-stdin", stdin="another password"
        )
        assert User.objects.filter(pk=self.ana.pk).values().get() == before
        assert sorted(result) == ["id", "invitation"]
        assert result["id"] == self.ana.id
        invited = self.invited()
        assert (invited.status, invited.user, invited.name) == ("invited", None, "Another name")
        body = {
            "invitation": result["invitation"],
            "document": self.ana.document,
            "password": "correct horse battery",
        }
        assert self.data(self.post("/auth/invitations/accept", body=body))["role"] == "operator"

    def test_the_invitation_is_printed_once_on_stdout_by_itself(self) -> None:
        stdout, stderr = self.run_command(*self.invite)
        assert stdout.startswith("inv_")
        assert len(stdout.split()) == 1
        assert stdout.strip() not in stderr
        assert self.invited().name == "Ana"

    def test_it_is_mailed_where_an_address_is_given_which_is_not_taken_over(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            result = self.result(*self.invite, "--email", "ana@example.com")
        assert result == {"id": self.ana.id}
        (message,) = mail.outbox
        assert message.to == ["ana@example.com"]
        assert "inv_" in str(message.body)
        self.ana.refresh_from_db()
        assert self.ana.email == ""

    def test_what_is_mailed_is_told_without_the_invitation(self) -> None:
        stdout, stderr = self.run_command(*self.invite, "--email", "ana@example.com")
        assert stdout == f"{self.ana.id} is invited as operator at {self.bakery.id}, by mail.\n"
        assert "inv_" not in stdout + stderr

    def test_a_mailbox_that_had_its_invitations_is_refused_in_one_line(self) -> None:
        for _ in range(3):
            self.run_command(*self.invite, "--email", "ana@example.com")
            Membership.objects.filter(document=self.ana.document, status="invited").delete()
        refusal = self.refusal(*self.invite, "--email", "ana@example.com")
        assert refusal.startswith("Rate limit exceeded. Retry after ")
        assert not Membership.objects.filter(
            document=self.ana.document, merchant=self.bakery
        ).exists()

    def test_no_password_is_asked_of_a_user_who_exists(self) -> None:
        with mock.patch("authn.management.given_password.read", side_effect=AssertionError):
            self.run_command(*self.invite)
        assert self.invited().status == "invited"

    def test_a_second_membership_at_one_merchant_is_refused(self) -> None:
        place = ("--merchant", self.bakery.id, "--role", "owner")
        refusal = self.refusal("create_user", self.mario.document, *place)
        assert refusal == "This document is a member of the merchant already"
        assert self.membership(self.mario).role == Role.MANAGER

    def test_a_user_who_exists_without_a_merchant_to_join_is_refused(self) -> None:
        refusal = self.refusal("create_user", self.ana.document, "--name", "Ana")
        assert refusal == "a user with this document exists; --merchant invites them"

    def test_a_user_who_exists_is_not_raised_to_staff(self) -> None:
        for option in ("--superuser", "--staff"):
            with self.subTest(option):
                assert "are for new ones" in self.refusal(*self.invite, option)
        self.ana.refresh_from_db()
        assert (self.ana.is_superuser, self.ana.is_staff) == (False, False)
        assert not Membership.objects.filter(
            document=self.ana.document, merchant=self.bakery
        ).exists()


class TypedPasswordTests(CommandTestCase):
    """At a terminal."""

    def create(self, *typed: object) -> None:
        """Make Nina, whose password is typed like this."""
        terminal = io.StringIO()
        with (
            mock.patch.object(terminal, "isatty", return_value=True),
            mock.patch("sys.stdin", terminal),
            mock.patch("authn.management.given_password.getpass", side_effect=typed),
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
