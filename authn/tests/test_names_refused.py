"""A name that breaks a line, turns the text around or is not seen is refused wherever one is given.

What it may hold: `fluxiq/tests/test_names.py`.
"""

from typing import Any

from django.core import mail
from django.test import override_settings

from accounts.models import User
from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq.scopes import Role
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key
from merchants import invitations
from merchants.models import Membership, Merchant, PaymentAccount

PHISHING = "Nina\n\nYour account is blocked: https://fluxiq.example.net"
HOSTILE = (
    PHISHING,
    "Ni\x00na",
    "Ni\x85na",
    "Ni\u202ena",
    "Ni\u2066na",
    "Ni\u2028na",
    "\u200b",
    " ",
)
LATER = "Nina\n"  # what is around a name is taken off, yet it is not as the document says


@override_settings(RATE_LIMIT_JWT=(10_000, 60))
class ApiTests(CommandTestCase):
    def test_the_api_refuses_it_by_field_and_nothing_is_written(self) -> None:
        key, _ = issue_key(self.bakery)
        keys = f"/merchants/{self.bakery.id}/api-keys"
        person = {"document": "98765432100", "role": Role.OPERATOR}
        calls: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("POST", "/users", person),
            ("PATCH", f"/users/{self.membership(self.otto).id}", {}),
            ("POST", "/accounts", {}),
            ("PATCH", f"/accounts/{self.till.id}", {}),
            ("POST", keys, {"permissions": ["pix:read"]}),
            ("PATCH", f"{keys}/{key.id}", {}),
        )
        models = (Membership, PaymentAccount, ApiKey)
        before = [list(model.objects.order_by("pk").values()) for model in models]
        for method, path, body in calls:
            for name in (*HOSTILE, LATER):
                with self.subTest(f"{method} {path} {name!a}"):
                    self.assert_invalid(
                        self.call(method, path, self.olga, {**body, "name": name}), "name"
                    )
        assert [list(model.objects.order_by("pk").values()) for model in models] == before


class CommandTests(CommandTestCase):
    def test_a_command_refuses_it_in_one_line(self) -> None:
        for name in (*HOSTILE, "Ni\udcffna"):
            for arguments in (
                ("create_merchant", name, "--document", "98765432100"),
                ("create_user", "98765432100", "--name", name, "--password-stdin"),
                ("issue_api_key", self.bakery.id, "--name", name, "--permission", "pix:read"),
                ("issue_api_key", "--service", "--name", name),
            ):
                with self.subTest(arguments):
                    refusal = self.refusal(*arguments, stdin="a long password")
                    assert refusal.startswith("name: ")
                    assert "\n" not in refusal
        assert not Merchant.objects.filter(document="98765432100").exists()
        assert not User.objects.filter(document="98765432100").exists()
        assert not ApiKey.objects.exists()


class ConsoleTests(ConsoleTestCase):
    def test_each_form_of_the_console_refuses_it_in_a_sentence(self) -> None:
        key, _ = issue_key(self.bakery)
        self.enter(self.root)
        passwords = {"password1": "a long password", "password2": "a long password"}
        for path, fields in (
            ("merchants/merchant/add/", {"document": "98765432100"}),
            (f"merchants/merchant/{self.bakery.pk}/change/", {}),
            ("accounts/user/add/", {"document": "98765432100", **passwords}),
            (f"accounts/user/{self.olga.pk}/change/", {}),
            ("merchants/paymentaccount/add/", {"merchant": self.bakery.pk}),
            (f"merchants/paymentaccount/{self.till.pk}/change/", {}),
            ("authn/apikey/add/", {"merchant": self.bakery.pk, "permissions": "pix:read"}),
            (f"authn/apikey/{key.pk}/change/", {}),
            ("auth/group/add/", {}),
        ):
            for name in ("Ni\x85na", "Ni\u202ena", "\u200b"):
                with self.subTest(f"{path} {name!a}"):
                    response = self.send(path, 200, name=name, **fields)
                    (message,) = response.context["adminform"].form.errors["name"]
                    assert message.startswith("A name holds ")


class MailTests(ConsoleTestCase):
    """Names that were stored before they were validated break no mail."""

    def body(self) -> str:
        (message,) = mail.outbox
        assert "\n" not in message.subject
        return str(message.body)

    def test_a_key_and_a_merchant_and_a_person_of_many_lines(self) -> None:
        User.objects.filter(pk=self.olga.pk).update(name=PHISHING, email="olga@example.com")
        Merchant.objects.filter(pk=self.bakery.pk).update(name=PHISHING)
        self.bakery.refresh_from_db()
        with self.captureOnCommitCallbacks(execute=True):
            issue_key(self.bakery, name=PHISHING)
        assert not [line for line in self.body().splitlines() if line.startswith("Your account")]
        mail.outbox.clear()
        with self.captureOnCommitCallbacks(execute=True):
            self.post("/auth/password/forgot", body={"document": self.olga.document})
        assert not [line for line in self.body().splitlines() if line.startswith("Your account")]
        mail.outbox.clear()
        with self.captureOnCommitCallbacks(execute=True):
            invitations.mail("nina@example.com", PHISHING, PHISHING, "inv_x")
        assert not [line for line in self.body().splitlines() if line.startswith("Your account")]

    def test_a_client_that_calls_itself_many_lines(self) -> None:
        User.objects.filter(pk=self.olga.pk).update(email="olga@example.com")
        body = {"current_password": "correct horse battery", "new_password": "another long one"}
        with self.captureOnCommitCallbacks(execute=True):
            response = self.post(
                "/auth/password", self.olga, body, HTTP_USER_AGENT="curl\x85Your account is blocked"
            )
        assert response.status_code == 204
        assert not [line for line in self.body().splitlines() if line.startswith("Your account")]
