"""The staff console shows a rotated key's secret and a reset link once, and to whom it may."""

import re

from django.contrib.sessions.models import Session as ConsoleSession

from authn.models import ApiKey
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import UserFactory, issue_key

SECRET = re.compile(r"sk_live_[0-9A-Za-z]{38}")


class SecretPageTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.api_key, self.old = issue_key(self.bakery, "pix:read", name="Till Key")
        self.rotate = f"authn/apikey/{self.api_key.pk}/rotate/"

    def number(self, path: str) -> str:
        found = re.search(r'name="form_number" value="([^"]+)"', self.look(path))
        assert found is not None
        return found[1]

    def test_rotating_shows_the_secret_once_and_the_old_key_has_its_grace(
        self,
    ) -> None:
        fields = {"grace": "3600", "form_number": self.number(self.rotate)}
        response = self.send(self.rotate, 200, **fields)
        (secret,) = set(SECRET.findall(response.content.decode()))
        assert "no-store" in response.headers["Cache-Control"]
        assert not response.cookies.get("messages")
        for key in (secret, self.old):
            assert self.get("/auth/me", key).status_code == 200
        (event,) = self.events("api_key.rotated")
        assert event.actor_id == self.root.pk
        assert event.after["grace_seconds"] == 3600
        again = self.send(self.rotate, 200, **fields)
        assert "sent before" in again.content.decode()
        assert not SECRET.search(again.content.decode())
        assert ApiKey.objects.count() == 2
        stored = [str(s.get_decoded()) for s in ConsoleSession.objects.all()]
        assert not [text for text in stored if secret in text]
        successor = ApiKey.objects.latest("pk")
        assert not SECRET.search(self.look(f"authn/apikey/{successor.pk}/change/"))

    def test_a_rotated_or_dead_key_is_not_rotated_again(self) -> None:
        self.api_key.revoke("lost")
        page = self.send(self.rotate, 200, grace="0", form_number=self.number(self.rotate))
        assert "no longer in force or was rotated already" in page.content.decode()
        assert ApiKey.objects.count() == 1
        assert self.rotate not in self.look(f"authn/apikey/{self.api_key.pk}/change/")

    def test_no_grace_of_ones_own_invention_is_taken(self) -> None:
        number = self.number(self.rotate)
        for grace in ("-1", "604801", "", "forever"):
            self.send(self.rotate, 200, grace=grace, form_number=number)
        assert ApiKey.objects.count() == 1

    def test_who_may_change_keys_and_not_add_them_rotates_none(self) -> None:
        self.enter(self.sam, "authn.change_apikey")
        self.look(self.rotate, 403)
        self.send(self.rotate, 403, grace="0", form_number="x")
        assert ApiKey.objects.count() == 1

    def test_a_reset_link_is_shown_once_and_serves_once(self) -> None:
        tokens = self.sign_in(self.olga)
        path = f"accounts/user/{self.olga.pk}/reset-link/"
        assert "reset-password#" not in self.look(path)
        response = self.send(path, 200)
        found = re.search(r"reset-password#([\w.-]+)", response.content.decode())
        assert found is not None
        assert "no-store" in response.headers["Cache-Control"]
        assert found[1] not in self.look(path)
        body = {"token": found[1], "new_password": "a new password of hers"}
        assert self.post("/auth/password/reset", body=body).status_code == 204
        self.assert_unauthorized(self.get("/auth/me", tokens.access_token))
        self.assert_unauthorized(self.post("/auth/password/reset", body=body))
        (event,) = self.events("staff.action")
        assert (event.actor_id, event.object_id) == (self.root.pk, self.olga.pk)
        assert found[1] not in str(event.after)

    def test_no_link_is_made_for_colleagues_oneself_or_whom_one_may_not_change(self) -> None:
        colleague = UserFactory.create(is_staff=True)
        self.enter(self.sam, "accounts.change_user")
        for user in (self.root, colleague, self.sam):
            self.send(f"accounts/user/{user.pk}/reset-link/", 403)
        self.enter(UserFactory.create(is_staff=True), "accounts.view_user")
        self.send(f"accounts/user/{self.olga.pk}/reset-link/", 403)
        assert self.events("staff.action") == []

    def test_a_deactivated_person_gets_no_link(self) -> None:
        self.olga.deactivate("left")
        page = self.send(f"accounts/user/{self.olga.pk}/reset-link/", 200).content.decode()
        assert "reset-password#" not in page
