"""What one merchant has does not exist for another: every object route, every kind of caller."""

import json
from typing import Any

from django.test import override_settings

from accounts.models import User
from authn.models import ApiKey
from fluxiq.audit.models import AuditEvent
from fluxiq.principals import Kind, Principal
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import MerchantFactory, PaymentAccountFactory, issue_key, join
from merchants.models import Membership, Merchant, PaymentAccount


@override_settings(RATE_LIMIT_JWT=(10_000, 60), RATE_LIMIT_API_KEY=(10_000, 60))
class TenancyTests(ApiTestCase):
    """The callers here hold all that can be held, at the bookshop alone."""

    def setUp(self) -> None:
        super().setUp()
        self.bakery_key = issue_key(self.bakery, *Scope)[0]
        self.strangers: dict[str, User | str] = {
            "the owner of another": self.ana,
            "a key of another": issue_key(self.bookshop, *Scope)[1],
            "staff": self.sam,
            "a service key": ApiKey.objects.issue_service_key(name="Ledger")[1],
        }
        for caller in self.strangers.values():
            self.get("/auth/me", caller)

    def objects(self) -> list[tuple[str, str, Any]]:
        """Each way to an object of the bakery, that its owner can go."""
        member = f"/users/{self.membership(self.otto).id}"
        account = f"/accounts/{self.till.id}"
        return [
            ("GET", f"/merchants/{self.bakery.id}", None),
            ("GET", account, None),
            ("PATCH", account, {"name": "Stolen"}),
            ("PATCH", account, {"nonsense": 1}),
            ("GET", member, None),
            ("PATCH", member, {"role": "owner"}),
            ("PATCH", member, {"nonsense": 1}),
            ("DELETE", member, None),
        ]

    def absent(self) -> list[tuple[str, str, Any]]:
        """The same ways, to what does not exist."""
        ulid = "01HQGX3VJ8Z5Y6W7T8R9QPNM0K"
        own = {self.bakery.id: f"mer_{ulid}", self.till.id: f"acc_{ulid}",
               self.membership(self.otto).id: f"mbr_{ulid}"}  # fmt: skip
        ways = json.dumps(self.objects())
        for real, invented in own.items():
            ways = ways.replace(real, invented)
        return [tuple(way) for way in json.loads(ways)]

    def test_to_a_stranger_it_is_what_does_not_exist_to_the_byte(self) -> None:
        before = AuditEvent.objects.count()
        for name, caller in self.strangers.items():
            pairs = zip(self.objects(), self.absent(), strict=True)
            for (method, path, body), (_, absent, _) in pairs:
                with self.subTest(f"{method} {path} {body} as {name}"):
                    foreign = self.call(method, path, caller, body)
                    missing = self.call(method, absent, caller, body)
                    self.assert_not_found(foreign)
                    assert foreign.content == missing.content
                    assert sorted(foreign.headers) == sorted(missing.headers)
        assert AuditEvent.objects.count() == before
        assert PaymentAccount.objects.get(pk=self.till.pk).name == "Till"
        assert self.membership(self.otto).role == "operator"

    def test_its_owner_finds_it(self) -> None:
        for method, path, body in self.absent():
            self.assert_not_found(self.call(method, path, self.olga, body))
        for method, path, body in self.objects():
            response = self.call(method, path, self.olga, body)
            assert response.status_code != 404, path

    def test_no_list_of_another_has_it(self) -> None:
        for caller in (self.ana, self.strangers["a key of another"]):
            for path in ("/merchants", "/accounts", "/users"):
                text = self.get(path, caller).content.decode()
                for secret in (self.bakery.id, self.till.id, self.membership(self.otto).id, "Otto"):
                    assert secret not in text

    def test_nothing_is_made_at_anothers(self) -> None:
        for caller in (self.ana, self.strangers["a key of another"]):
            account = {"name": "Mine", "merchant_id": self.bakery.id}
            self.assert_not_found(self.post("/accounts", caller, account))
            person = {"document": "98765432100", "name": "Nina", "role": "operator",
                      "merchant_id": self.bakery.id}  # fmt: skip
            self.assert_not_found(self.post("/users", caller, person))
        assert PaymentAccount.objects.filter(merchant=self.bakery).count() == 1
        assert Membership.objects.filter(merchant=self.bakery).count() == 3

    def test_of_a_merchant_that_is_not_ones_own_no_filter_tells_whether_it_exists(self) -> None:
        for path in ("/accounts", "/users"):
            foreign = self.get(f"{path}?merchant_id={self.bakery.id}", self.ana)
            unknown = self.get(f"{path}?merchant_id=mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K", self.ana)
            self.assert_not_found(foreign)
            assert foreign.content == unknown.content

    def test_a_former_member_is_a_stranger(self) -> None:
        self.bearer(self.mario)
        Membership.objects.filter(user=self.mario).delete()
        for method, path, body in self.objects():
            self.assert_not_found(self.call(method, path, self.mario, body))

    def test_a_key_acts_for_its_merchant_alone_whoever_made_it(self) -> None:
        join(self.bookshop, self.olga, Role.OWNER)
        secret = issue_key(self.bakery, *Scope, created_by=self.olga)[1]
        rows = self.data(self.get("/accounts", secret))
        assert [row["id"] for row in rows] == [self.till.id]
        self.assert_not_found(self.get(f"/accounts/{self.shelf.id}", secret))

    def test_a_key_outlives_the_membership_of_its_maker(self) -> None:
        secret = issue_key(self.bakery, created_by=self.mario)[1]
        Membership.objects.filter(user=self.mario).delete()
        self.mario.deactivate()
        assert self.get("/accounts", secret).status_code == 200

    def test_a_merchant_id_in_the_query_changes_nothing_for_an_object(self) -> None:
        query = f"?merchant_id={self.bookshop.id}"
        self.assert_not_found(self.get(f"/accounts/{self.till.id}{query}", self.ana))

    def test_no_charset_of_a_request_hides_its_filter(self) -> None:
        for charset in ("utf-8", "utf-16", "utf-7", "cp037", "unicode_escape", "nonsense"):
            with self.subTest(charset):
                response = self.get(
                    f"/accounts?merchant_id={self.bakery.id}",
                    self.ana,
                    CONTENT_TYPE=f"application/json; charset={charset}",
                )
                self.assert_not_found(response)

    def test_a_query_of_no_grants_finds_no_rows(self) -> None:
        MerchantFactory.create()
        PaymentAccountFactory.create()
        nobody = Principal(Kind.USER, self.sam.id, "Sam")
        for model in (Merchant, Membership, PaymentAccount):
            assert not model.objects.at_merchants_of(nobody).exists()
