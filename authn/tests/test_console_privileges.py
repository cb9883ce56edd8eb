"""Nobody reaches for more at the staff console: by a field, a group, a forged form, or in bulk."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import User
from authn.models import ApiKey
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD, UserFactory, issue_key


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
