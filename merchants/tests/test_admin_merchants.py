"""Merchants at the staff console."""

from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import MembershipFactory, issue_key
from merchants.models import Merchant
from merchants.tests.member_table import MemberTable

LIST = "merchants/merchant/"


class MerchantTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.page = f"{LIST}{self.bakery.pk}/"

    def test_the_list_finds_by_name_document_and_id_and_masks(self) -> None:
        Merchant.objects.open("Quitanda", "98.765.432/0001-00")
        for text in ("quit", "98.765", "98765432000100"):
            page = self.look(LIST, q=text)
            assert "Quitanda" in page
            assert "Padaria Aurora" not in page
        page = self.look(LIST)
        assert "**.765.432/0001-**" in page
        assert "98765432000100" not in page
        assert "Padaria Aurora" in self.look(LIST, q=self.bakery.id)

    def test_a_form_finds_one_by_the_beginning_of_its_document(self) -> None:
        Merchant.objects.open("Quitanda", "98.765.432/0001-00")
        asked = {"app_label": "authn", "model_name": "apikey", "field_name": "merchant"}
        found = self.client.get("/admin/autocomplete/", {"term": "98.765", **asked}).json()
        assert [choice["text"] for choice in found["results"]] == ["Quitanda"]
        self.enter(self.sam)
        self.look("autocomplete/", 403, term="98.765", **asked)

    def test_the_list_costs_as_many_queries_for_many_merchants(self) -> None:
        self.assert_queries_do_not_grow(LIST, MembershipFactory.create)

    def test_one_is_added_with_the_bare_document_and_audited(self) -> None:
        self.send(LIST + "add/", name="Quitanda", document="98.765.432/0001-00")
        merchant = Merchant.objects.get(document="98765432000100")
        (event,) = self.events("merchant.created", object_id=merchant.id)
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)

    def test_a_document_that_is_none_or_known_is_refused(self) -> None:
        for document in ("", "98.765", self.bakery.document):
            response = self.send(LIST + "add/", 200, name="Quitanda", document=document)
            assert list(response.context["adminform"].form.errors) == ["document"]
        assert not Merchant.objects.filter(name="Quitanda").exists()

    def test_only_the_name_is_changed_and_audited(self) -> None:
        self.send(
            self.page + "change/",
            name="Padaria Boreal",
            document="98765432000100",
            status="suspended",
            **MemberTable(self.bakery).fields(),
        )
        merchant = Merchant.objects.get(pk=self.bakery.pk)
        assert merchant.name == "Padaria Boreal"
        assert merchant.document == self.bakery.document
        assert not merchant.is_suspended
        (event,) = self.events("merchant.changed")
        assert event.actor_id == self.root.id
        assert event.before == {"name": "Padaria Aurora"}
        assert event.after == {"name": "Padaria Boreal"}

    def test_suspending_is_confirmed_and_holds_at_once(self) -> None:
        _, secret = issue_key(self.bakery)
        self.look(self.page + "suspend/")
        assert self.get("/auth/me", secret).status_code == 200
        self.send(self.page + "suspend/", confirmed="yes")
        self.assert_unauthorized(self.get("/auth/me", secret))
        (event,) = self.events("merchant.suspended")
        assert event.actor_id == self.root.id

    def test_resuming_undoes_it(self) -> None:
        self.bakery.suspend()
        self.act(LIST, "resume", self.bakery, self.bookshop)
        assert not Merchant.objects.get(pk=self.bakery.pk).is_suspended
        assert len(self.events("merchant.resumed")) == 1

    def test_what_is_suspended_is_not_suspended_again(self) -> None:
        self.bakery.suspend()
        assert "suspend/" not in self.look(self.page + "change/")
        self.act(LIST, "suspend", self.bakery)
        assert len(self.events("merchant.suspended")) == 1

    def test_none_is_deleted(self) -> None:
        empty = Merchant.objects.open("Quitanda", "98765432000100")
        self.look(f"{LIST}{empty.pk}/delete/", 403)
        self.act(LIST, "delete_selected", empty)
        assert Merchant.objects.filter(pk=empty.pk).exists()

    def test_staff_without_a_permission_get_403(self) -> None:
        self.enter(self.sam)
        for path in (LIST, LIST + "add/", self.page + "change/", self.page + "suspend/"):
            self.look(path, 403)

    def test_who_may_only_look_changes_nothing(self) -> None:
        self.enter(self.sam, "merchants.view_merchant")
        assert "Suspend" not in self.look(self.page + "change/")
        self.send(self.page + "change/", 403, name="Mine")
        self.send(self.page + "suspend/", 403, confirmed="yes")
        self.assert_no_action(LIST, "suspend", self.bakery)
        assert not Merchant.objects.get(pk=self.bakery.pk).is_suspended

    def test_a_members_table_is_shown_to_whom_it_is_permitted(self) -> None:
        self.enter(self.sam, "merchants.change_merchant")
        assert "Mario" not in self.look(self.page + "change/")
        self.enter(self.sam, "merchants.view_membership")
        page = self.look(self.page + "change/")
        assert "Mario" in page
        assert self.membership(self.mario).masked_document in page
