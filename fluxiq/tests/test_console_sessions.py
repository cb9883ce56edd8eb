"""The table of the staff console's sessions opens none of them."""

from http import HTTPStatus

from django.contrib.sessions.models import Session

from fluxiq.console_sessions import SessionStore
from fluxiq.tests.console import ConsoleTestCase


class ConsoleSessionTests(ConsoleTestCase):
    def cookie(self) -> str:
        """What the browser holds."""
        return str(self.client.cookies["sessionid"].value)

    def test_the_table_does_not_hold_what_the_cookie_does(self) -> None:
        self.enter(self.root)
        row = Session.objects.get()
        assert self.cookie() not in f"{row.session_key} {row.session_data} {row.get_decoded()}"

    def test_what_the_table_holds_signs_nobody_in(self) -> None:
        self.enter(self.root)
        self.client.cookies["sessionid"] = Session.objects.get().session_key
        assert self.client.get("/admin/").status_code == HTTPStatus.FOUND

    def test_a_session_is_found_again_and_ends_with_the_sign_out(self) -> None:
        self.enter(self.root)
        self.look("")
        assert SessionStore().exists(self.cookie())
        kept = self.cookie()
        self.send("logout/", HTTPStatus.OK)
        assert not SessionStore().exists(kept)
        self.client.cookies["sessionid"] = kept
        assert self.client.get("/admin/").status_code == HTTPStatus.FOUND

    def test_a_key_that_was_planted_names_no_session(self) -> None:
        planted = SessionStore("planted-by-somebody-0123456789")
        assert planted.load() == {}
        assert planted.session_key is None

    def test_one_that_ran_out_is_gone(self) -> None:
        store = SessionStore()
        store["x"] = 1
        store.set_expiry(-1)
        store.create()
        assert SessionStore(store.session_key).load() == {}
        store.delete()
        assert not Session.objects.exists()
