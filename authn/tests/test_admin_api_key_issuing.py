"""API keys are issued at the staff console, with a secret that is shown once."""

import logging
import re
from datetime import timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session as ConsoleSession
from django.utils import timezone

from authn.models import ApiKey
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.console import ConsoleTestCase

SECRET = re.compile(r"sk_live_[0-9A-Za-z]{38}")
LIST = "authn/apikey/"


class IssueTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)

    def form_number(self) -> str:
        self.look(LIST + "add/")
        number: str = self.client.session["issue_key_forms"][-1]
        return number

    def fields(self, **changes: Any) -> dict[str, Any]:
        return {
            "merchant": self.bakery.pk,
            "name": "Production Key",
            "permissions": ["accounts:read", "pix:write"],
            "expires_at_0": "",
            "expires_at_1": "",
            "allowed_ips": "",
            "rate_limit": "",
            "form_number": self.form_number(),
        } | changes

    def issue(self, expect: int = 200, **changes: Any) -> Any:
        return self.send(LIST + "add/", expect, **self.fields(**changes))

    def secret(self, response: Any) -> str:
        (secret,) = set(SECRET.findall(response.content.decode()))
        return str(secret)

    def refused(self, *fields: str, **changes: Any) -> list[str]:
        response = self.issue(**changes)
        errors = response.context["adminform"].form.errors
        assert set(errors) == set(fields), errors
        assert not ApiKey.objects.exists()
        return [message for messages in errors.values() for message in messages]

    def test_the_page_that_answers_shows_a_secret_that_works(self) -> None:
        secret = self.secret(self.issue())
        api_key = ApiKey.objects.get()
        assert api_key.merchant == self.bakery
        assert api_key.permissions == ["accounts:read", "pix:write"]
        assert api_key.created_by == self.root
        assert self.data(self.get("/auth/me", secret))["id"] == api_key.id

    def test_the_page_that_answers_is_stored_by_nobody(self) -> None:
        assert "no-store" in self.issue().headers["Cache-Control"]

    def test_the_secret_stands_nowhere_after(self) -> None:
        with self.assertLogs(level="DEBUG") as logs:
            logging.getLogger("test").debug("a line, since none at all is a failure")
            response = self.issue()
            secret = self.secret(response)
            shown = [
                self.look(LIST + p) for p in ("", "add/", f"{ApiKey.objects.get().pk}/change/")
            ]
            shown.append(self.look(""))
        kept = [
            *shown,
            *logs.output,
            str(response.headers),
            str(response.cookies),
            *(str(s.get_decoded()) for s in ConsoleSession.objects.all()),
            *(f"{e.object_repr} {e.change_message}" for e in LogEntry.objects.all()),
            *(f"{e.before} {e.after}" for e in AuditEvent.objects.all()),
        ]
        assert LogEntry.objects.count() == 1
        assert not [text for text in kept if secret in text or SECRET.search(text)]

    def test_the_digest_is_on_no_page(self) -> None:
        self.issue()
        api_key = ApiKey.objects.get()
        digest = bytes(api_key.digest)
        for path in (LIST, f"{LIST}{api_key.pk}/change/", f"{LIST}{api_key.pk}/history/"):
            page = self.look(path)
            assert digest.hex() not in page
            assert "digest" not in page

    def test_sending_the_form_again_mints_no_second_key(self) -> None:
        fields = self.fields()
        self.send(LIST + "add/", 200, **fields)
        again = self.send(LIST + "add/", 200, **fields)
        assert "This form was sent before" in self.refusals(again)[0]
        assert not SECRET.search(again.content.decode())
        assert ApiKey.objects.count() == 1
        third = self.send(LIST + "add/", 200, **fields)
        assert self.refusals(third)
        assert ApiKey.objects.count() == 1

    def test_the_form_shown_again_can_be_sent_to_issue_another(self) -> None:
        fields = self.fields()
        self.send(LIST + "add/", 200, **fields)
        self.send(LIST + "add/", 200, **fields)
        fresh = self.client.session["issue_key_forms"][-1]
        assert fresh != fields["form_number"]
        self.secret(self.send(LIST + "add/", 200, **fields | {"form_number": fresh}))
        assert ApiKey.objects.count() == 2

    def test_of_two_requests_at_the_same_moment_one_mints(self) -> None:
        fields = self.fields()
        session = self.client.session
        before = dict(session.items())
        self.send(LIST + "add/", 200, **fields)
        session = self.client.session  # as the second request read it, before the first had saved
        session.update(before)
        session.save()
        assert self.refusals(self.send(LIST + "add/", 200, **fields))
        assert ApiKey.objects.count() == 1

    def test_a_form_of_nobodys_session_mints_nothing(self) -> None:
        assert "sent before" in self.refused("__all__", form_number="made-up")[0]

    def test_an_invalid_form_does_not_spend_its_number(self) -> None:
        fields = self.fields(name="")
        self.send(LIST + "add/", 200, **fields)
        self.secret(self.send(LIST + "add/", 200, **fields | {"name": "Now named"}))

    def test_several_forms_may_be_open(self) -> None:
        first = self.fields()
        self.secret(self.issue())
        self.secret(self.send(LIST + "add/", 200, **first))
        assert ApiKey.objects.count() == 2

    def test_the_session_keeps_no_more_than_ten_open_forms(self) -> None:
        for _ in range(12):
            self.form_number()
        assert len(self.client.session["issue_key_forms"]) == 10

    def test_all_limits_are_taken(self) -> None:
        moment = (timezone.now() + timedelta(days=30)).replace(microsecond=0)
        in_brasilia = moment.astimezone(ZoneInfo("America/Sao_Paulo"))
        self.issue(
            expires_at_0=f"{in_brasilia:%Y-%m-%d}",
            expires_at_1=f"{in_brasilia:%H:%M:%S}",
            allowed_ips="203.0.113.0/24\r\n2001:db8::1\r\n",
            rate_limit="50",
        )
        api_key = ApiKey.objects.get()
        assert api_key.expires_at == moment
        assert api_key.allowed_ips == ["203.0.113.0/24", "2001:db8::1/128"]
        assert api_key.rate_limit == 50

    def test_a_service_key_asks_about_others_tokens(self) -> None:
        response = self.issue(merchant="", permissions=[], service_key="on", rate_limit="77")
        api_key = ApiKey.objects.get()
        assert api_key.is_service
        assert api_key.permissions == ["tokens:introspect"]
        assert api_key.rate_limit == 77
        other = self.sign_in(self.ana).access_token
        answer = self.post("/auth/introspect", self.secret(response), {"token": other})
        assert answer.json()["active"] is True

    def test_a_service_key_has_no_merchant_and_no_other_permission(self) -> None:
        self.refused("merchant", "permissions", service_key="on")

    def test_a_key_of_a_merchant_needs_the_merchant_and_a_permission(self) -> None:
        self.refused("merchant", "permissions", merchant="", permissions=[])

    def test_what_no_key_can_hold_is_refused(self) -> None:
        for permission in ("*", "pix:*", "api_keys:write", "audit:read", "tokens:introspect"):
            self.refused("permissions", permissions=[permission])

    def test_an_expiry_in_the_past_is_refused(self) -> None:
        self.refused("expires_at", expires_at_0="2020-01-01", expires_at_1="00:00:00")

    def test_an_expiry_past_the_year_9999_in_utc_is_refused(self) -> None:
        # Three hours later in UTC than in Brasília, where staff are.
        self.refused("expires_at", expires_at_0="9999-12-31", expires_at_1="21:00:00")
        self.issue(expires_at_0="9999-12-31", expires_at_1="20:59:59")
        api_key = ApiKey.objects.get()
        assert str(api_key.expires_at) == "9999-12-31 23:59:59+00:00"
        self.look(f"{LIST}{api_key.pk}/change/")
        self.look(LIST)

    def test_what_is_no_cidr_is_refused(self) -> None:
        for text in ("10.0.0.1/8", "here", "10.0.0.0/33", "\n".join(["10.0.0.1"] * 51)):
            self.refused("allowed_ips", allowed_ips=text)

    def test_a_limit_of_nothing_is_refused(self) -> None:
        for limit in ("0", "-1", "1000001", "99999999999999999999"):
            self.refused("rate_limit", rate_limit=limit)

    def test_the_permissions_are_offered_with_what_they_allow(self) -> None:
        page = self.look(LIST + "add/")
        for text in ("<legend>pix</legend>", 'value="pix:write"', "Send and receive PIX payments"):
            assert text in page
        assert "api_keys:write" not in page

    def test_it_is_audited(self) -> None:
        self.issue()
        (event,) = self.events("api_key.issued")
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)
        assert event.merchant_id == self.bakery.id

    def test_staff_with_the_permission_may_issue(self) -> None:
        self.enter(self.sam, "authn.add_apikey")
        self.secret(self.issue())

    def test_staff_without_it_get_403(self) -> None:
        self.enter(self.sam, "authn.view_apikey", "authn.change_apikey")
        self.look(LIST + "add/", 403)
        self.send(LIST + "add/", 403, service_key="on", name="Mine", form_number="x")

    def test_a_failure_while_issuing_leaves_nothing(self) -> None:
        with mock.patch("fluxiq.audit.models.record", side_effect=RuntimeError):
            self.issue(expect=500)
        assert not ApiKey.objects.exists()
