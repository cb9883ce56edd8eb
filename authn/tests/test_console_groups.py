"""Who of the staff sees and may do what: every page of the console, for each group."""

from io import StringIO
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.urls import URLPattern, URLResolver

from accounts.models import User
from authn.groups import GROUPS
from authn.models import Session
from fluxiq.audit.models import AuditEvent
from fluxiq.settings.base import BASE_DIR
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import UserFactory, issue_key

EVERYBODY, NOBODY = frozenset(GROUPS), frozenset[str]()
SUPPORT, SECURITY, AUDITOR = ({name} for name in ("support", "security", "auditor"))

# A page's name at the site: who of the groups sees it. A superuser sees all.
PAGES: dict[str, frozenset[str] | set[str]] = {
    "index": EVERYBODY,
    "password_change": EVERYBODY,
    "password_change_done": EVERYBODY,
    "accounts_user_changelist": EVERYBODY,
    "accounts_user_change": EVERYBODY,
    "accounts_user_history": EVERYBODY,
    "accounts_user_add": SECURITY,
    "accounts_user_deactivate": SECURITY,
    "accounts_user_reactivate": SECURITY,
    "accounts_user_end-sessions": SUPPORT | SECURITY,
    "accounts_user_password": SECURITY,
    "accounts_user_reset_link": SECURITY,
    "accounts_user_reclaim": SECURITY,
    "accounts_user_reset-mfa": SECURITY,
    "audit_auditevent_changelist": SECURITY | AUDITOR,
    "audit_auditevent_change": SECURITY | AUDITOR,
    "audit_auditevent_history": SECURITY | AUDITOR,
    "audit_auditevent_add": NOBODY,
    "auth_group_changelist": AUDITOR,
    "auth_group_change": AUDITOR,
    "auth_group_history": AUDITOR,
    "auth_group_add": NOBODY,
    "auth_group_delete": NOBODY,
    "authn_apikey_changelist": EVERYBODY,
    "authn_apikey_change": EVERYBODY,
    "authn_apikey_history": EVERYBODY,
    "authn_apikey_add": SECURITY,
    "authn_apikey_revoke": SECURITY,
    "authn_apikey_rotate": SECURITY,
    "authn_session_changelist": EVERYBODY,
    "authn_session_change": EVERYBODY,
    "authn_session_history": EVERYBODY,
    "authn_session_add": NOBODY,
    "authn_session_end": SUPPORT | SECURITY,
    "merchants_merchant_changelist": EVERYBODY,
    "merchants_merchant_change": EVERYBODY,
    "merchants_merchant_history": EVERYBODY,
    "merchants_merchant_add": NOBODY,
    "merchants_merchant_suspend": NOBODY,
    "merchants_merchant_resume": NOBODY,
    "merchants_merchant_require-mfa": NOBODY,
    "merchants_merchant_waive-mfa": NOBODY,
    "merchants_paymentaccount_changelist": EVERYBODY,
    "merchants_paymentaccount_change": EVERYBODY,
    "merchants_paymentaccount_history": EVERYBODY,
    "merchants_paymentaccount_add": NOBODY,
}
# Of nothing in the console is there a way to delete it, but of groups.
UNDELETED = ("accounts_user", "audit_auditevent", "authn_apikey", "authn_session")
PAGES |= {f"{model}_delete": NOBODY for model in UNDELETED}
PAGES |= {"merchants_merchant_delete": NOBODY, "merchants_paymentaccount_delete": NOBODY}

# Whom no group is asked about: signing in and out, and what serves the pages.
OPEN = {
    "login",
    "login_code",
    "login_enrol",
    "logout",
    "jsi18n",
    "autocomplete",
    "view_on_site",
    "search",
    "app_list",
}


def names(patterns: list[Any] | None = None) -> set[str]:
    """The names of all pages of the site."""
    found = set()
    for pattern in patterns or admin.site.get_urls():
        if isinstance(pattern, URLResolver):
            found |= names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            found.add(pattern.name)
    return found


class MatrixTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, _secret = issue_key(self.bakery)
        self.sign_in(self.olga)
        self.objects = {
            "accounts_user": self.olga.pk,
            "audit_auditevent": AuditEvent.objects.latest("pk").pk,
            "auth_group": Group.objects.get(name="support").pk,
            "authn_apikey": self.api_key.pk,
            "authn_session": Session.objects.get(user=self.olga).pk,
            "merchants_merchant": self.bakery.pk,
            "merchants_paymentaccount": self.till.pk,
        }

    def path(self, name: str) -> str:
        if name.startswith("password_change"):
            return name.replace("_done", "/done") + "/"
        if name == "index":
            return ""
        model = "_".join(name.split("_")[:2])
        action = name.removeprefix(model + "_").replace("_", "-")
        base = model.replace("_", "/") + "/"
        if action == "changelist":
            return base
        return base + ("add/" if action == "add" else f"{self.objects[model]}/{action}/")

    def member_of(self, *groups: str) -> User:
        user: User = UserFactory.create(name="Staff", is_staff=True)
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    def test_every_page_of_the_site_stands_in_the_matrix(self) -> None:
        asked = {name for name in names() if name not in OPEN}
        assert asked == set(PAGES)

    def test_each_group_sees_its_pages_and_gets_the_403_page_of_the_rest(self) -> None:
        for group in GROUPS:
            self.client.force_login(self.member_of(group))
            for name, allowed in PAGES.items():
                response = self.client.get("/admin/" + self.path(name))
                seen = response.status_code in (200, 302)
                assert seen is (group in allowed), (group, name, response.status_code)
                if not seen:
                    assert response.status_code == 403, (group, name)
                    assert "Not permitted" in response.content.decode()

    def test_staff_in_no_group_see_the_home_page_alone_and_no_figure_on_it(self) -> None:
        self.client.force_login(self.member_of())
        for name in PAGES:
            expect = {"index", "password_change", "password_change_done"}
            response = self.client.get("/admin/" + self.path(name))
            assert (response.status_code == 200) is (name in expect), name
        page = self.look("")
        assert "fx-chart" not in page
        assert "Keys to look at" not in page

    def test_support_ends_a_session_and_does_nothing_else(self) -> None:
        self.client.force_login(self.member_of("support"))
        session = self.objects["authn_session"]
        self.send(f"authn/session/{session}/end/", confirmed="yes")
        assert not Session.objects.live().filter(pk=session).exists()
        self.send(f"accounts/user/{self.olga.pk}/change/", 403, name="Mine")
        self.send(f"authn/apikey/{self.api_key.pk}/change/", 403, name="Mine")
        self.send(f"authn/apikey/{self.api_key.pk}/revoke/", 403, confirmed="yes", reason="x")
        self.send(f"merchants/merchant/{self.bakery.pk}/suspend/", 403, confirmed="yes")
        self.assert_no_action("authn/apikey/", "revoke", self.api_key)
        assert self.events("session.ended")

    def test_security_revokes_and_deactivates(self) -> None:
        self.client.force_login(self.member_of("security"))
        self.send(f"authn/apikey/{self.api_key.pk}/revoke/", confirmed="yes", reason="Leaked")
        self.send(f"accounts/user/{self.olga.pk}/deactivate/", confirmed="yes", reason="Fraud")
        assert self.events("api_key.revoked")
        assert self.events("user.deactivated")

    def test_an_auditor_changes_nothing(self) -> None:
        self.client.force_login(self.member_of("auditor"))
        events = AuditEvent.objects.count()
        for path in (
            f"authn/apikey/{self.api_key.pk}/change/",
            f"authn/apikey/{self.api_key.pk}/revoke/",
            f"authn/apikey/{self.api_key.pk}/rotate/",
            f"authn/session/{self.objects['authn_session']}/end/",
            f"accounts/user/{self.olga.pk}/change/",
            f"accounts/user/{self.olga.pk}/deactivate/",
            f"accounts/user/{self.olga.pk}/end-sessions/",
            f"accounts/user/{self.olga.pk}/reset-link/",
            f"accounts/user/{self.olga.pk}/reset-mfa/",
            f"accounts/user/{self.olga.pk}/reclaim/",
            f"merchants/merchant/{self.bakery.pk}/change/",
            f"merchants/paymentaccount/{self.till.pk}/change/",
            "authn/apikey/add/",
            "accounts/user/add/",
            "auth/group/add/",
        ):
            self.send(path, 403, confirmed="yes", reason="x", name="Mine")
        assert AuditEvent.objects.count() == events

    def test_a_group_says_nothing_to_the_api(self) -> None:
        staff = self.member_of("security")
        assert self.data(self.get("/auth/me", staff))["memberships"] == []


class SeedTests(ConsoleTestCase):
    def permissions(self, name: str) -> set[str]:
        rows = Group.objects.get(name=name).permissions.values_list(
            "content_type__app_label", "codename"
        )
        return {".".join(row) for row in rows}

    def test_a_new_installation_has_the_groups(self) -> None:
        for name, wanted in GROUPS.items():
            assert self.permissions(name) == set(wanted)

    def test_no_group_can_reach_for_more(self) -> None:
        for wanted in GROUPS.values():
            assert not [p for p in wanted if p.startswith(("auth.add", "auth.change"))]
            assert not [p for p in wanted if "delete" in p]

    def test_what_superusers_change_of_a_group_survives_the_next_migration(self) -> None:
        support = Group.objects.get(name="support")
        support.permissions.clear()
        Group.objects.get(name="auditor").delete()
        call_command("migrate", stdout=StringIO())
        assert self.permissions("support") == set()
        assert self.permissions("auditor") == set(GROUPS["auditor"])

    def test_where_no_group_is_missing_nothing_changes(self) -> None:
        Group.objects.get(name="support").permissions.clear()
        call_command("migrate", stdout=StringIO())
        assert self.permissions("support") == set()
        assert Group.objects.count() == len(GROUPS)

    def test_every_group_is_explained_to_staff(self) -> None:
        text = (BASE_DIR / "docs" / "staff.md").read_text()
        for name in GROUPS:
            assert f"**{name}**" in text
