"""`issue_api_key`."""

from datetime import timedelta

from django.utils import timezone

from authn import keys
from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq.audit import models as audit
from merchants.models import Merchant


class IssueApiKeyTests(CommandTestCase):
    def issue(self, *options: str) -> tuple[str, ...]:
        """The command for a key of the bakery."""
        return ("issue_api_key", self.bakery.id, "--name", "Production Key", *options)

    def test_the_key_stands_alone_on_stdout_and_works(self) -> None:
        stdout, stderr = self.run_command(*self.issue("--permission", "accounts:read"))
        key = stdout.removesuffix("\n")
        assert keys.is_well_formed(key, "live")
        assert key not in stderr
        assert self.data(self.get("/accounts", key))[0]["id"] == self.till.id

    def test_json_is_what_the_api_answers(self) -> None:
        options = ("--permission", "accounts:read", "--permission", "pix:write")
        issued = self.result(*self.issue(*options))
        shown = self.data(self.get(f"/merchants/{self.bakery.id}/api-keys", self.olga))[0]
        key = issued.pop("key")
        assert issued == shown
        assert issued["permissions"] == ["accounts:read", "pix:write"]
        assert keys.hint(key) == issued["hint"]

    def test_permissions_may_follow_one_option(self) -> None:
        issued = self.result(*self.issue("--permission", "pix:read", "pix:write"))
        assert issued["permissions"] == ["pix:read", "pix:write"]

    def test_its_limits_are_those_given(self) -> None:
        before = timezone.now()
        issued = self.result(
            *self.issue("--permission", "pix:read", "--expires-in", "90d"),
            *("--allow-ip", "10.0.0.0/8", "--allow-ip", "2001:db8::1", "--rate-limit", "5000"),
        )
        after = timezone.now()
        api_key = ApiKey.objects.get(pk=issued["id"])
        assert api_key.expires_at is not None
        assert before <= api_key.expires_at - timedelta(days=90) <= after
        assert api_key.allowed_ips == ["10.0.0.0/8", "2001:db8::1/128"]
        assert api_key.rate_limit == 5000

    def test_without_limits_it_has_none(self) -> None:
        issued = self.result(*self.issue("--permission", "pix:read"))
        assert issued["expires_at"] is None
        assert issued["allowed_ips"] == []
        assert issued["rate_limit"] is None

    def test_it_is_audited_as_the_work_of_a_command(self) -> None:
        issued = self.result(*self.issue("--permission", "pix:read"))
        event = audit.AuditEvent.objects.get(object_id=issued["id"])
        assert (event.kind, event.actor_kind) == (audit.Kind.API_KEY_ISSUED, "command")
        assert issued["key"] not in str(event.after)

    def test_permissions_are_judged_as_the_apis(self) -> None:
        for given, reason in (
            (("pix:*",), "permissions: 'pix:*' cannot be granted to a key."),
            (("*",), "permissions: '*' cannot be granted to a key."),
            (("api_keys:read",), "permissions: 'api_keys:read' cannot be granted to a key."),
            (
                ("tokens:introspect",),
                "permissions: 'tokens:introspect' cannot be granted to a key.",
            ),
            (("pixel:read",), "permissions: 'pixel:read' cannot be granted to a key."),
            (("pix:read", "pix:read"), "permissions: A permission stands twice."),
        ):
            with self.subTest(given):
                assert self.refusal(*self.issue("--permission", *given)) == reason
        assert not ApiKey.objects.exists()

    def test_a_merchants_key_without_permissions_is_refused(self) -> None:
        assert self.refusal(*self.issue()) == "permissions: This field is required."

    def test_limits_that_make_no_sense_are_refused(self) -> None:
        for option, value, reason in (
            ("--expires-in", "0d", "it has to be more than 0"),
            ("--expires-in", "soon", "'soon' is no duration"),
            ("--expires-in", "", "'' is no duration"),
            ("--expires-in", "36501d", "is too long"),
            ("--allow-ip", "10.0.0.1/8", "allowed_ips: Not a CIDR"),
            ("--rate-limit", "0", "rate_limit: Ensure this value is greater than or equal to 1."),
            ("--rate-limit", "2147483648", "rate_limit: Ensure this value is less than"),
            ("--rate-limit", "many", "rate_limit: A valid integer is required."),
        ):
            with self.subTest(option, value=value):
                arguments = self.issue("--permission", "pix:read", option, value)
                assert reason in self.refusal(*arguments)
        assert not ApiKey.objects.exists()

    def test_an_unknown_merchant_is_refused(self) -> None:
        unknown = Merchant().id
        for merchant_id in (unknown, "nonsense", self.olga.id):
            with self.subTest(merchant_id):
                refusal = self.refusal(
                    "issue_api_key", merchant_id, "--name", "K", "--permission", "pix:read"
                )
                assert refusal == f"there is no merchant {merchant_id!r}"

    def test_a_merchant_or_service_has_to_be_named(self) -> None:
        refusal = self.refusal("issue_api_key", "--name", "K", "--permission", "pix:read")
        assert refusal == "MERCHANT_ID is required, before the options (or --service)"

    def test_a_name_has_to_be_given(self) -> None:
        refusal = self.refusal("issue_api_key", self.bakery.id, "--permission", "pix:read")
        assert "--name" in refusal


class IssueServiceKeyTests(CommandTestCase):
    def test_a_service_key_belongs_to_no_merchant_and_introspects_others_tokens(self) -> None:
        issued = self.result("issue_api_key", "--service", "--name", "Ledger")
        assert issued["merchant_id"] is None
        assert issued["permissions"] == ["tokens:introspect"]
        token = self.sign_in(self.olga).access_token
        answer = self.post("/auth/introspect", issued["key"], {"token": token})
        assert answer.json()["sub"] == self.olga.id

    def test_a_service_key_may_have_limits(self) -> None:
        issued = self.result(
            *("issue_api_key", "--service", "--name", "Ledger", "--rate-limit", "9"),
            *("--allow-ip", "10.0.0.1", "--expires-in", "1h"),
        )
        assert (issued["rate_limit"], issued["allowed_ips"]) == (9, ["10.0.0.1/32"])
        assert issued["expires_at"] is not None

    def test_service_with_a_merchant_or_permissions_is_refused(self) -> None:
        for mixed in ((self.bakery.id,), ("--permission", "pix:read")):
            with self.subTest(mixed):
                refusal = self.refusal("issue_api_key", *mixed, "--service", "--name", "K")
                assert refusal == "--service stands in place of a merchant and permissions"
        assert not ApiKey.objects.exists()
