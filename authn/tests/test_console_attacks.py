"""Attacks on the staff console: hostile names, reloaded secrets, and reaching for privileges."""

import re
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session as ConsoleSession
from django.test import Client

from accounts.models import User
from authn.models import ApiKey, Session
from fluxiq import origin
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD, MerchantFactory, UserFactory, issue_key
from merchants.models import Membership, PaymentAccount

HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='{{ 7|add:7 }}{% debug %}",
    '" x-data="{a: alert(1)}" x-init="alert(1)</textarea></title><svg/onload=alert(1)>',
)
SECRET = re.compile(r"sk_live_[0-9A-Za-z]{38}")


class Markup(HTMLParser):
    """What a browser would find that runs: elements and attributes, by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.texts: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.inline_scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        names = {name for name, _value in attrs}
        self.inline_scripts += tag == "script" and "src" not in names
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_data(self, data: str) -> None:
        self.texts.add(data)


class StoredMarkupTests(ConsoleTestCase):
    def hostile_pages(self, text: str) -> list[str]:
        """Every page that shows what people typed, with this text in all of it."""
        merchant = MerchantFactory.create(name=text)
        user = UserFactory.create(name=text)
        membership = Membership.objects.add(merchant, user, "owner")
        Membership.objects.filter(pk=membership.pk).update(name=text)
        account = PaymentAccount.objects.open(merchant, text)
        api_key, _secret = issue_key(merchant, name=text, created_by=user)
        dead, _secret = issue_key(merchant, name=text)
        dead.revoke(text)
        with origin.working_as(origin.Origin(address="192.0.2.1", user_agent=text)):
            self.sign_in(user)
        mine = Session.objects.get(user=user)
        Session.objects.filter(pk=mine.pk).update(user_agent=text)
        self.send(f"accounts/user/{user.pk}/deactivate/", confirmed="yes", reason=text)
        group = Group.objects.create(name=text)
        spoken_of = (account.pk, api_key.pk, dead.pk, mine.pk, user.pk)
        events = AuditEvent.objects.filter(object_id__in=spoken_of)
        assert events.count() >= len(spoken_of)
        return [
            "",
            *(f"audit/auditevent/{event.pk}/change/" for event in events),
            *(f"{model}/?q={self.quoted(text)}" for model in self.LISTS),
            *(f"{model}/" for model in self.LISTS),
            f"merchants/merchant/{merchant.pk}/change/",
            f"merchants/merchant/{merchant.pk}/suspend/",
            f"merchants/merchant/{merchant.pk}/history/",
            f"merchants/paymentaccount/{account.pk}/change/",
            f"authn/apikey/?merchant={merchant.pk}",
            f"authn/apikey/{api_key.pk}/change/",
            f"authn/apikey/{api_key.pk}/rotate/",
            f"authn/apikey/{api_key.pk}/revoke/",
            f"authn/apikey/{dead.pk}/change/",
            f"authn/session/{mine.pk}/change/",
            f"accounts/user/{user.pk}/change/",
            f"accounts/user/{user.pk}/history/",
            f"accounts/user/{user.pk}/password/",
            f"auth/group/{group.pk}/change/",
        ]

    LISTS = (
        "merchants/merchant",
        "merchants/paymentaccount",
        "authn/apikey",
        "authn/session",
        "accounts/user",
        "audit/auditevent",
        "auth/group",
    )

    @staticmethod
    def quoted(text: str) -> str:
        return "".join(f"%{byte:02x}" for byte in text.encode())

    def test_what_people_typed_is_text_on_every_page(self) -> None:
        self.enter(self.root)
        for text in HOSTILE:
            shown = 0
            for path in self.hostile_pages(text):
                response = self.client.get(f"/admin/{path}")
                assert response.status_code == 200, (path, text)
                markup = Markup(response.content.decode())
                assert not markup.inline_scripts, (path, text)
                assert "img" not in markup.elements, (path, text)
                bad = {"onerror", "onload", "onmouseover"} & set(markup.attributes)
                assert not bad, (path, text)
                assert not [v for v in markup.attributes.get("x-init", ()) if "alert" in v], path
                assert not [v for v in markup.attributes.get("x-data", ()) if "alert" in v], path
                assert "14" not in markup.texts, (path, text)
                shown += text in response.content.decode() or any(text in t for t in markup.texts)
            assert shown, text

    def test_a_hostile_reason_and_a_hostile_new_name_come_back_as_text(self) -> None:
        self.enter(self.root)
        api_key, _secret = issue_key(self.bakery)
        for text in HOSTILE:
            long = text * 40
            for path, fields in (
                (f"authn/apikey/{api_key.pk}/revoke/", {"confirmed": "yes", "reason": long}),
                (f"merchants/merchant/{self.bakery.pk}/change/", {"name": long}),
                ("authn/apikey/add/", {"name": long, "allowed_ips": text}),
                ("accounts/user/add/", {"name": text, "document": text[:30]}),
            ):
                response = self.client.post(f"/admin/{path}", fields)
                assert response.status_code == 200, path
                markup = Markup(response.content.decode())
                assert not markup.inline_scripts, path
                assert not {"onerror", "onload", "onmouseover"} & set(markup.attributes), path
                assert not [v for v in markup.attributes.get("x-init", ()) if "alert" in v], path


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


class PrivilegeTests(ConsoleTestCase):
    PRIVILEGES: dict[str, Any] = {"is_staff": "on", "is_superuser": "on"}

    def staff(self, *groups: str) -> User:
        user: User = UserFactory.create(name="Staff", is_staff=True)
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    def test_a_member_is_made_no_superuser_by_who_is_none(self) -> None:
        everything = {
            **self.PRIVILEGES,
            "groups": [g.pk for g in Group.objects.all()],
            "user_permissions": [p.pk for p in Permission.objects.all()[:20]],
        }
        staff = self.staff("security", "support", "auditor")
        self.client.force_login(staff)
        for user in (self.olga, staff):
            fields = {"name": user.name, "email": "", **everything}
            self.send(f"accounts/user/{user.pk}/change/", **fields)
            user.refresh_from_db()
            assert not user.is_superuser
            assert user.is_staff is (user == staff)
            assert not user.user_permissions.exists()
            assert user.groups.count() == (3 if user == staff else 0)

    def test_nobody_is_made_a_superuser_as_they_are_added(self) -> None:
        self.client.force_login(self.staff("security"))
        new: dict[str, Any] = {
            "document": "529.982.247-25",
            "name": "New",
            "email": "",
            "password1": PASSWORD,
            "password2": PASSWORD,
        }
        self.send("accounts/user/add/", **new, **self.PRIVILEGES)
        user = User.objects.get(document="52998224725")
        assert not user.is_staff
        assert not user.is_superuser

    def test_a_group_gives_its_members_no_more_through_its_page(self) -> None:
        staff = self.staff("security", "auditor")
        self.client.force_login(staff)
        group = Group.objects.get(name="security")
        before = set(group.permissions.all())
        every = [p.pk for p in Permission.objects.all()]
        self.send(f"auth/group/{group.pk}/change/", 403, name="security", permissions=every)
        assert set(group.permissions.all()) == before

    def test_a_hidden_field_of_a_key_is_not_to_be_set(self) -> None:
        self.client.force_login(self.staff("security"))
        api_key, _secret = issue_key(self.bakery)
        digest = bytes(api_key.digest)
        self.send(
            f"authn/apikey/{api_key.pk}/change/",
            name="Renamed",
            rate_limit="",
            digest="00",
            pepper_id="mine",
            permissions='["pix:write"]',
            merchant=self.bookshop.pk,
            created_by=self.sam.pk,
        )
        api_key.refresh_from_db()
        assert api_key.name == "Renamed"
        assert bytes(api_key.digest) == digest
        assert api_key.permissions == ["accounts:read"]
        assert api_key.merchant == self.bakery

    def test_every_form_asks_for_its_token(self) -> None:
        api_key, _secret = issue_key(self.bakery)
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.root)
        for path in (
            "authn/apikey/add/",
            f"authn/apikey/{api_key.pk}/revoke/",
            f"authn/apikey/{api_key.pk}/rotate/",
            f"accounts/user/{self.olga.pk}/deactivate/",
            f"accounts/user/{self.olga.pk}/reset-link/",
            f"accounts/user/{self.olga.pk}/password/",
            f"merchants/merchant/{self.bakery.pk}/suspend/",
            "language/",
            "logout/",
        ):
            fields = {"confirmed": "yes", "reason": "x", "grace": "0", "language": "pt-br"}
            response = strict.post(f"/admin/{path}", fields)
            assert response.status_code == 403, path
        assert api_key.is_live
        assert ApiKey.objects.count() == 1

    def test_more_than_a_hundred_are_not_acted_upon_at_once(self) -> None:
        self.enter(self.root)
        for _ in range(101):
            issue_key(self.bakery)
        response = self.act("authn/apikey/", "revoke", *ApiKey.objects.all(), reason="All")
        assert self.said(response) == ["At most 100 at once. Nothing was changed."]
        across = self.act(
            "authn/apikey/", "revoke", ApiKey.objects.all()[0], reason="All", select_across="1"
        )
        assert self.said(across) == ["At most 100 at once. Nothing was changed."]
        assert ApiKey.objects.live().count() == 101
