"""What people typed is text on every page of the staff console, and nothing that runs."""

from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import Group

from authn.models import Session
from fluxiq import origin
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import MerchantFactory, UserFactory, issue_key, join
from merchants.models import Membership, PaymentAccount

HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='{{ 7|add:7 }}{% debug %}",
    '" x-data="{a: alert(1)}" x-init="alert(1)</textarea></title><svg/onload=alert(1)>',
)


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


@pytest.mark.once
class StoredMarkupTests(ConsoleTestCase):
    def hostile_pages(self, text: str) -> list[str]:
        """Every page that shows what people typed, with this text in all of it."""
        merchant = MerchantFactory.create(name=text)
        user = UserFactory.create(name=text)
        membership = join(merchant, user, "owner")
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
