"""API keys at the staff console: found, renamed, limited and revoked."""

import re
from datetime import datetime, timedelta

from django.utils import timezone

from authn.models import ApiKey
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key

LIST = "authn/apikey/"


class ApiKeyPagesTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.api_key, self.secret = issue_key(self.bakery, "pix:read", name="Till Key")
        self.page = f"{LIST}{self.api_key.pk}/"

    def test_the_list_shows_the_state(self) -> None:
        now = timezone.now()
        past = {"expires_at": now - timedelta(seconds=1), "created_at": now - timedelta(1)}
        grace = {"revoked_at": now + timedelta(hours=1)}
        cases: list[tuple[str, dict[str, datetime]]] = [
            ("live", {}),
            ("in grace", grace),
            ("expired", past),
            ("expired", past | grace),
            ("revoked", {"revoked_at": now}),
            ("revoked", past | {"revoked_at": now}),
        ]
        for state, dates in cases:
            ApiKey.objects.filter(pk=self.api_key.pk).update(**dates)
            assert re.search(rf'<span class="fx-badge [a-z-]+">{state}</span>', self.look(LIST))
            assert "Till Key" in self.look(LIST, state="no such state")
            for asked in ("live", "in grace", "expired", "revoked"):
                assert ("Till Key" in self.look(LIST, state=asked)) is (asked == state)
            ApiKey.objects.filter(pk=self.api_key.pk).update(revoked_at=None, expires_at=None)

    def test_the_list_narrows_to_a_merchant_and_to_services(self) -> None:
        issue_key(self.bookshop, name="Shelf Key")
        ApiKey.objects.issue_service_key(name="Ledger")
        page = self.look(LIST, merchant=self.bookshop.pk)
        assert "Shelf Key" in page
        assert "Till Key" not in page
        assert "Ledger" not in page
        page = self.look(LIST, owner="service")
        assert "Ledger" in page
        assert "Till Key" not in page
        assert "Ledger" not in self.look(LIST, owner="merchant")

    def test_it_is_found_by_name_hint_id_and_merchant(self) -> None:
        issue_key(self.bookshop, name="Shelf Key")
        for text in ("till", self.api_key.hint, self.api_key.id, "Aurora", self.bakery.id):
            page = self.look(LIST, q=text)
            assert "Till Key" in page
            assert "Shelf Key" not in page

    def test_the_digest_cannot_be_asked_for_byte_by_byte(self) -> None:
        for lookup in ("digest__startswith", "digest", "pepper_id__startswith"):
            self.look(LIST, 400, **{lookup: "t"})

    def test_the_list_costs_as_many_queries_for_many_keys(self) -> None:
        self.assert_queries_do_not_grow(LIST, lambda: issue_key(self.bookshop))
        self.assert_queries_do_not_grow(
            LIST, lambda: ApiKey.objects.issue_service_key(name="Ledger")
        )

    def test_only_the_name_and_the_limit_can_be_changed(self) -> None:
        self.send(
            self.page + "change/",
            name="Renamed",
            permissions="[]",
            rate_limit="7",
            expires_at_0="2099-01-01",
            merchant=self.bookshop.pk,
        )
        changed = ApiKey.objects.get(pk=self.api_key.pk)
        assert changed.name == "Renamed"
        assert changed.permissions == ["pix:read"]
        assert changed.rate_limit == 7
        assert changed.expires_at is None
        assert changed.merchant == self.bakery
        (event,) = self.events("api_key.changed")
        assert event.before == {"name": "Till Key", "rate_limit": None}
        assert event.after == {"name": "Renamed", "rate_limit": 7}
        assert event.actor_id == self.root.id

    def test_a_dead_key_cannot_be_changed(self) -> None:
        self.api_key.revoke("lost")
        response = self.send(self.page + "change/", 200, name="Renamed")
        assert self.refusals(response) == ["This key is no longer in force and cannot be changed"]
        assert ApiKey.objects.get(pk=self.api_key.pk).name == "Till Key"
        page = self.look(self.page + "change/")
        assert "readonly" in page
        assert 'name="_save"' not in page

    def test_revoking_asks_for_a_reason_and_holds_at_once(self) -> None:
        assert "Till Key" in self.look(self.page + "revoke/")
        assert ApiKey.objects.get(pk=self.api_key.pk).is_live
        self.send(self.page + "revoke/", 200, confirmed="yes", reason="")
        assert ApiKey.objects.get(pk=self.api_key.pk).is_live
        self.send(self.page + "revoke/", confirmed="yes", reason="Seen in a paste")
        assert ApiKey.objects.get(pk=self.api_key.pk).revoked_reason == "Seen in a paste"
        self.assert_unauthorized(self.get("/auth/me", self.secret))
        (event,) = self.events("api_key.revoked")
        assert event.actor_id == self.root.id
        assert event.after == {"reason": "Seen in a paste"}

    def test_a_reason_longer_than_its_column_is_refused(self) -> None:
        self.send(self.page + "revoke/", 200, confirmed="yes", reason="x" * 201)
        assert ApiKey.objects.get(pk=self.api_key.pk).is_live

    def test_many_are_revoked_from_the_list_after_a_confirmation(self) -> None:
        other, _ = issue_key(self.bookshop, name="Shelf Key")
        kept, _ = issue_key(self.bookshop, name="Kept Key")
        asked = self.client.post(
            "/admin/" + LIST, {"action": "revoke", "_selected_action": [self.api_key.pk, other.pk]}
        )
        assert "Shelf Key" in asked.content.decode()
        assert ApiKey.objects.live().count() == 3
        self.act(LIST, "revoke", self.api_key, other, reason="Leaked")
        assert list(ApiKey.objects.live()) == [kept]

    def test_revoking_what_is_revoked_changes_nothing(self) -> None:
        self.api_key.revoke("first")
        response = self.send(self.page + "revoke/", confirmed="yes", reason="second")
        assert self.said(response)[0].startswith("Nothing to do")
        self.act(LIST, "revoke", self.api_key, reason="third")
        assert ApiKey.objects.get(pk=self.api_key.pk).revoked_reason == "first"
        assert len(self.events("api_key.revoked")) == 1

    def test_nothing_is_deleted(self) -> None:
        self.look(self.page + "delete/", 403)
        self.send(self.page + "delete/", 403, post="yes")
        self.act(LIST, "delete_selected", self.api_key)
        assert ApiKey.objects.filter(pk=self.api_key.pk).exists()

    def test_who_may_only_look_can_do_nothing_else(self) -> None:
        self.enter(self.sam, "authn.view_apikey")
        page = self.look(self.page + "change/")
        assert "Till Key" in page
        assert "revoke/" not in page
        self.send(self.page + "change/", 403, name="Mine")
        self.look(self.page + "revoke/", 403)
        self.send(self.page + "revoke/", 403, confirmed="yes", reason="No")
        self.assert_no_action(LIST, "revoke", self.api_key)
        assert ApiKey.objects.get(pk=self.api_key.pk).is_live

    def test_who_may_not_look_gets_403(self) -> None:
        self.enter(self.sam)
        for path in (LIST, self.page + "change/", self.page + "revoke/", self.page + "history/"):
            self.look(path, 403)

    def test_an_unknown_key_is_404(self) -> None:
        self.look(LIST + "key_unknown/revoke/", 404)
