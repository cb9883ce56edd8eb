"""The audit trail at the staff console: found and read, never written."""

from fluxiq.audit.models import AuditEvent
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key
from merchants.models import Merchant

LIST = "audit/auditevent/"


class AuditEventTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.sam, "audit.view_auditevent")
        self.grocer = Merchant.objects.open("Quitanda", "98765432000100")
        self.event = AuditEvent.objects.get(object_id=self.grocer.id)

    def test_the_list_narrows_to_a_kind(self) -> None:
        page = self.look(LIST, kind__exact="merchant.created")
        assert self.grocer.id in page
        assert self.olga.id not in page

    def test_it_is_found_by_object_merchant_and_actor(self) -> None:
        api_key, _ = issue_key(self.bookshop)
        AuditEvent.objects.create(kind="staff.action", actor_kind="staff", actor_id="usr_actor")
        assert api_key.id in self.look(LIST, q=api_key.id)
        page = self.look(LIST, q=self.bookshop.id)
        assert api_key.id in page
        assert self.grocer.id not in page
        page = self.look(LIST, q="usr_actor")
        assert "staff usr_actor" in page
        assert self.grocer.id not in page

    def test_an_event_shows_what_changed(self) -> None:
        page = self.look(f"{LIST}{self.event.pk}/change/")
        assert '"name": "Quitanda"' in page

    def test_what_an_event_holds_is_text_and_no_markup(self) -> None:
        event = AuditEvent.objects.create(
            kind="staff.action", actor_kind="staff", after={"name": "<script>alert(1)</script>"}
        )
        response = self.client.get(f"/admin/{LIST}{event.pk}/change/")
        assert b"<script>alert" not in response.content

    def test_the_list_costs_as_many_queries_for_many_events(self) -> None:
        self.assert_queries_do_not_grow(LIST, lambda: issue_key(self.bookshop))

    def test_not_even_a_superuser_adds_changes_or_deletes(self) -> None:
        self.enter(self.root)
        page = f"{LIST}{self.event.pk}/"
        before = AuditEvent.objects.count()
        self.look(LIST + "add/", 403)
        self.send(LIST + "add/", 403, kind="staff.action")
        self.send(page + "change/", 403, kind="staff.action")
        self.look(page + "delete/", 403)
        self.send(page + "delete/", 403, post="yes")
        self.assert_no_action(LIST, "delete_selected", self.event)
        assert AuditEvent.objects.count() == before

    def test_staff_without_the_permission_get_403(self) -> None:
        self.sam.user_permissions.clear()
        self.enter(self.sam)
        self.look(LIST, 403)
        self.look(f"{LIST}{self.event.pk}/change/", 403)
