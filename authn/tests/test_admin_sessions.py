"""Sessions at the staff console: looked at, and ended."""

from datetime import timedelta

from django.contrib import admin
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authn.models import Session
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import UserFactory

LIST = "authn/session/"


class AdminSessionTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.olgas = self.sign_in(self.olga)
        self.session = Session.objects.get(user=self.olga)
        self.sign_in(self.ana)
        self.anas = Session.objects.get(user=self.ana)
        self.enter(self.root)

    def is_live(self, session: Session) -> bool:
        return Session.objects.live().filter(pk=session.pk).exists()

    def test_the_list_shows_who_is_signed_in_from_where(self) -> None:
        page = self.look(LIST)
        assert self.session.id in page
        assert str(self.olga) in page
        assert "127.0.0.1" in page
        assert self.olga.document not in page

    def test_the_list_narrows_to_a_state_and_to_a_user(self) -> None:
        Session.objects.filter(pk=self.anas.pk).end("test")
        long_ago = timezone.now() - timedelta(days=9)
        self.sign_in(self.otto)
        run_out = Session.objects.filter(user=self.otto)
        run_out.update(created_at=long_ago, expires_at=long_ago + timedelta(days=7))
        ids = {"live": self.session.id, "ended": self.anas.id, "expired": run_out.get().id}
        for state, expected in ids.items():
            page = self.look(LIST, state=state)
            assert [i for i in ids.values() if i in page] == [expected]
        page = self.look(LIST, user__id__exact=self.olga.pk)
        assert self.session.id in page
        assert self.anas.id not in page

    def test_it_is_found_by_user_and_address(self) -> None:
        for text in ("Olga", self.olga.id, self.session.id):
            page = self.look(LIST, q=text)
            assert self.session.id in page
            assert self.anas.id not in page
        assert self.anas.id in self.look(LIST, q="127.0.0.1")

    def test_the_list_costs_as_many_queries_for_many_sessions(self) -> None:
        self.assert_queries_do_not_grow(LIST, lambda: self.sign_in(UserFactory.create()))

    def test_ending_holds_at_the_next_request(self) -> None:
        self.act(LIST, "end", self.session)
        self.assert_unauthorized(self.get("/auth/me", self.olgas.access_token))
        ended = Session.objects.get(pk=self.session.pk)
        assert ended.ended_reason == "ended by staff"
        assert self.is_live(self.anas)
        (event,) = self.events("session.ended")
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)

    def test_ending_is_confirmed_first(self) -> None:
        self.client.post("/admin/" + LIST, {"action": "end", "_selected_action": self.session.pk})
        self.look(f"{LIST}{self.session.pk}/end/")
        assert self.is_live(self.session)

    def test_a_session_is_read_only(self) -> None:
        page = self.look(f"{LIST}{self.session.pk}/change/")
        assert 'name="_save"' not in page
        assert self.session.current is not None
        assert self.session.current.jti not in page
        self.send(f"{LIST}{self.session.pk}/change/", 403, address="::1")
        self.look(LIST + "add/", 403)
        self.look(f"{LIST}{self.session.pk}/delete/", 403)

    def test_who_may_look_may_not_end(self) -> None:
        self.enter(self.sam, "authn.view_session")
        self.assert_no_action(LIST, "end", self.session)
        self.send(f"{LIST}{self.session.pk}/end/", 403, confirmed="yes")
        assert self.is_live(self.session)

    def test_who_may_change_may_end(self) -> None:
        self.enter(self.sam, "authn.change_session")
        self.send(f"{LIST}{self.session.pk}/end/", confirmed="yes")
        assert not self.is_live(self.session)

    def test_staff_without_a_permission_get_403(self) -> None:
        self.enter(self.sam)
        self.look(LIST, 403)

    def test_the_tables_of_tokens_have_no_pages(self) -> None:
        assert not admin.site.is_registered(OutstandingToken)
        assert not admin.site.is_registered(BlacklistedToken)
        self.look("token_blacklist/outstandingtoken/", 404)
