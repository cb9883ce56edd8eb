"""`seed_demo`."""

import json
import re
import shlex
from typing import Any
from unittest import mock

from django.test import override_settings
from django.utils import timezone

from accounts import documents
from accounts.models import User
from authn import demo, demo_stories, figures, passwords
from authn.models import ApiKey, ApiKeyUsage, Session
from authn.tests.commands import CommandTestCase
from fluxiq.audit.models import AuditEvent
from fluxiq.scopes import Role
from fluxiq.settings.base import BASE_DIR
from merchants.models import Membership, Merchant

STORY = dict([*demo_stories.MEMBERS.items(), *demo_stories.STAFF.items()])


def curl_calls(text: str) -> list[list[str]]:
    """The arguments of each curl line, as a shell would split them."""
    lines = text.replace("\\\n", "").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("curl")]


class SeedDemoTests(CommandTestCase):
    def sign_in_with(self, user: dict[str, Any]) -> str:
        """The access token that a document and a password get."""
        body = {"document": user["document"], "password": user["password"]}
        token: str = self.data(self.post("/auth/login", body=body))["access_token"]
        return token

    def test_the_documented_example_signs_in_as_it_stands(self) -> None:
        self.run_command("seed_demo")
        body = {"document": "12345678901", "password": "your-password"}
        self.data(self.post("/auth/login", body=body))

    def test_everybody_signs_in_and_holds_the_role_that_is_told(self) -> None:
        seeded = self.result("seed_demo")
        assert list(seeded) == ["merchant_id", "users", "key"]
        assert [user["role"] for user in seeded["users"]] == ["owner", "manager", "operator"]
        for user in seeded["users"]:
            me = self.data(self.get("/auth/me", self.sign_in_with(user)))
            (held,) = me["memberships"]
            assert (held["merchant_id"], held["role"]) == (seeded["merchant_id"], user["role"])

    def test_the_key_lists_two_accounts_with_balances(self) -> None:
        seeded = self.result("seed_demo")
        accounts = self.data(self.get("/accounts", seeded["key"]))
        assert sorted(a["balance"] for a in accounts) == ["1520.75", "98000.00"]
        me = self.data(self.get("/auth/me", seeded["key"]))
        assert me["name"] == "Demo key"
        assert me["memberships"][0]["permissions"] == [
            "accounts:read",
            "accounts:write",
            "pix:read",
            "pix:write",
        ]

    def test_a_superuser_enters_the_staff_console(self) -> None:
        stdout, _ = self.run_command("seed_demo")
        (document, password) = re.findall(r"^superuser +(\S+) +(\S+)$", stdout, re.MULTILINE)[0]
        user = User.objects.get(document=document)
        assert user.is_superuser
        assert user.is_staff
        assert user.check_password(password)
        assert not user.memberships.exists()

    def test_a_second_run_changes_nothing_and_makes_no_second_key(self) -> None:
        first = self.result("seed_demo")
        hashes = list(User.objects.order_by("pk").values_list("password"))
        events = AuditEvent.objects.count()
        second = self.result("seed_demo")
        assert second == {**first, "key": None}
        assert AuditEvent.objects.count() == events
        assert list(User.objects.order_by("pk").values_list("password")) == hashes
        assert ApiKey.objects.filter(name="Demo key").count() == 1

    def test_a_revoked_key_is_not_made_again(self) -> None:
        self.run_command("seed_demo")
        ApiKey.objects.get(name="Demo key").revoke()
        assert self.result("seed_demo")["key"] is None
        assert ApiKey.objects.filter(name="Demo key").count() == 1

    def test_a_changed_password_is_kept_and_not_told_as_the_documented_one(self) -> None:
        self.run_command("seed_demo")
        owner = User.objects.get(document="12345678901")
        owner.set_password("a password of my own")
        owner.save()
        told = self.result("seed_demo")["users"][0]
        assert told == {"document": "12345678901", "password": None, "role": "owner"}
        stdout, _ = self.run_command("seed_demo")
        assert re.search(r"^owner +12345678901 +\(changed since\)$", stdout, re.MULTILINE)
        owner.refresh_from_db()
        assert owner.check_password("a password of my own")

    def test_a_member_who_was_removed_stays_removed(self) -> None:
        self.run_command("seed_demo")
        Membership.objects.filter(user__document=demo.PEOPLE[2].document).delete()
        self.run_command("seed_demo")
        assert not Membership.objects.filter(user__document=demo.PEOPLE[2].document).exists()

    def test_somebody_who_is_missing_is_made_again_with_their_role(self) -> None:
        self.run_command("seed_demo")
        manager = User.objects.get(document=demo.PEOPLE[1].document)
        manager.memberships.all().delete()
        manager.delete()
        seeded = self.result("seed_demo")
        made = User.objects.get(document=demo.PEOPLE[1].document)
        merchant = Merchant.objects.get(pk=seeded["merchant_id"])
        assert self.membership(made, merchant).role == Role.MANAGER

    def test_a_user_who_was_there_before_stays_as_they_are_and_joins_nothing(self) -> None:
        before = User.objects.create_user("12345678901", "a password of my own", name="Me")
        assert self.result("seed_demo")["users"][0]["password"] is None
        assert not before.memberships.exists()

    def test_a_run_that_fails_leaves_nothing_behind(self) -> None:
        counts = (Merchant.objects.count(), User.objects.count(), AuditEvent.objects.count())
        with mock.patch.object(demo, "_issue_key", side_effect=demo.DemoRefused("no")):
            assert self.refusal("seed_demo") == "no"
        after = (Merchant.objects.count(), User.objects.count(), AuditEvent.objects.count())
        assert after == counts

    @override_settings(DEMO_ALLOWED=False)
    def test_settings_that_do_not_allow_it_refuse_it(self) -> None:
        refusal = self.refusal("seed_demo")
        assert refusal == "the demo has known passwords: these settings do not allow it"
        assert not User.objects.filter(document="12345678901").exists()

    @override_settings(VERIFY_DOCUMENT_CHECK_DIGITS=True)
    def test_where_check_digits_are_verified_it_names_the_document_that_is_refused(self) -> None:
        refusal = self.refusal("seed_demo")
        assert refusal.startswith("the demo's document 12345678901 is not taken here: ")
        assert "VERIFY_DOCUMENT_CHECK_DIGITS" in refusal


class HistoryTests(CommandTestCase):
    """What `make run` has the staff console show."""

    RING = "newer:a-pepper-of-the-tests-0123456789,older:another-pepper-of-the-tests-0123456789"

    def test_every_list_of_the_home_page_and_every_state_of_a_key_has_something(self) -> None:
        with self.settings(API_KEY_PEPPERS=self.RING):
            self.run_command("seed_demo", "--history")
            now, keys = timezone.now(), ApiKey.objects.all()
            for found in (
                keys.never_used().exclude(name=demo.KEY_NAME),
                keys.idle(),
                keys.expiring(),
                keys.on_old_pepper(),
                keys.filter(revoked_at__lte=now),
                keys.filter(revoked_at__gt=now, successor__isnull=False),
                keys.filter(expires_at__lte=now),
                keys.filter(merchant__isnull=True),
            ):
                assert found.exists(), found.query
            assert len(figures.busiest()) >= 5
        for chart in figures.charts(of_requests=True, of_sign_ins=True):
            assert all(sum(series.values) > 0 for series in chart.series), chart.title
        assert figures.reuses().exists()
        assert Session.objects.live().exists()
        assert Session.objects.filter(ended_at__isnull=False).exists()

    def test_two_merchants_have_people_of_each_role(self) -> None:
        self.run_command("seed_demo", "--history")
        for document in (demo.MERCHANT_DOCUMENT, demo_stories.MERCHANT_DOCUMENT):
            members = Membership.objects.filter(merchant__document=document)
            assert set(members.values_list("role", flat=True)) == set(Role)

    def test_who_is_there_already_is_not_made_again(self) -> None:
        name, document = demo_stories.STAFF["support"]
        there = User.objects.create_user(document, "a password of their own", name=name)
        self.run_command("seed_demo", "--history")
        assert User.objects.get(document=document) == there
        there.refresh_from_db()
        assert there.check_password("a password of their own")

    def test_it_is_written_once_and_after_the_rest_too(self) -> None:
        def counts() -> list[int]:
            tables = (ApiKey, ApiKeyUsage, AuditEvent, Merchant, Session, User)
            return [table._base_manager.count() for table in tables]

        bare = self.result("seed_demo")
        few = counts()
        assert self.result("seed_demo", "--history") == {**bare, "key": None}
        many = counts()
        assert all(after > before for before, after in zip(few, many, strict=True))
        self.run_command("seed_demo", "--history")
        assert counts() == many

    def test_nothing_of_it_lets_anybody_in(self) -> None:
        self.run_command("seed_demo", "--history")
        documented = [person.document for person in (*demo.PEOPLE, demo.STAFF)]
        cast = User.objects.filter(name__in=[who[0] for who in STORY.values()])
        assert cast.count() == len(STORY)
        assert not cast.filter(document__in=documented).exists()
        assert not any(user.has_usable_password() for user in cast)
        assert not Session.objects.filter(user__in=cast, current__isnull=False).exists()

    def test_nothing_of_it_is_of_the_future_and_the_trail_is_whole(self) -> None:
        self.run_command("seed_demo", "--history")
        now = timezone.now()
        assert not AuditEvent.objects.filter(at__gt=now).exists()
        assert not Session.objects.filter(last_used_at__gt=now).exists()
        assert not ApiKeyUsage.objects.filter(hour__gt=now).exists()
        self.run_command("seal_audit_log")
        assert self.result("verify_audit_log")["whole"]

    def test_the_settings_that_refuse_the_demo_refuse_it(self) -> None:
        with override_settings(DEMO_ALLOWED=False):
            assert "do not allow it" in self.refusal("seed_demo", "--history")
        assert not Merchant.objects.filter(document=demo_stories.MERCHANT_DOCUMENT).exists()


class DemoFactsTests(CommandTestCase):
    def test_every_document_but_the_documented_one_has_right_check_digits(self) -> None:
        people = [p.document for p in (*demo.PEOPLE, demo.STAFF)]
        assert people[0] == "12345678901"
        people += [demo_stories.MERCHANT_DOCUMENT, *(document for _, document in STORY.values())]
        for document in (demo.MERCHANT_DOCUMENT, *people[1:]):
            assert documents.normalise(document, verify_check_digits=True) == document

    def test_every_password_could_be_chosen(self) -> None:
        for person in (*demo.PEOPLE, demo.STAFF):
            passwords.check_new(person.password, None, person.name)


class DemoTextTests(CommandTestCase):
    """What a newcomer reads, and pastes into a shell."""

    @mock.patch.dict("os.environ", {"PORT": "9123"})
    def test_the_curl_lines_sign_in_and_list_the_accounts(self) -> None:
        login, accounts = curl_calls(self.run_command("seed_demo")[0])
        assert login[2] == "http://127.0.0.1:9123/api/v1/auth/login"
        self.data(self.post("/auth/login", body=json.loads(login[login.index("-d") + 1])))
        assert accounts[2] == "http://127.0.0.1:9123/api/v1/accounts"
        scheme, key = accounts[accounts.index("-H") + 1].removeprefix("Authorization: ").split()
        assert scheme == "Bearer"
        assert len(self.data(self.get("/accounts", key))) == 2

    @mock.patch.dict("os.environ", {"PORT": ""})
    def test_without_a_port_it_is_8000(self) -> None:
        stdout, _ = self.run_command("seed_demo")
        assert "http://127.0.0.1:8000/admin/" in stdout

    def test_python_is_named_as_the_shell_finds_it(self) -> None:
        self.run_command("seed_demo")
        for running, named in (
            (str(BASE_DIR / ".venv" / "bin" / "python3"), ".venv/bin/python3"),
            ("/usr/bin/python3", "python"),
        ):
            with mock.patch("sys.executable", running):
                stdout, _ = self.run_command("seed_demo")
            assert f"KEY=$({named} manage.py issue_api_key" in stdout

    def test_a_later_run_tells_how_to_issue_another_key(self) -> None:
        first, _ = self.run_command("seed_demo")
        second, _ = self.run_command("seed_demo")
        key = re.search(r"sk_live_\w{38}", first)
        assert key is not None
        assert "sk_live_" not in second
        text = second.replace("\\\n", "")
        issue = re.search(r"^KEY=\$\(\S+ manage.py (.*)\)$", text, re.MULTILINE)
        assert issue is not None
        another, _ = self.run_command(*shlex.split(issue[1]))
        assert len(self.data(self.get("/accounts", another.strip()))) == 2
        assert curl_calls(second)[1][-1] == "Authorization: Bearer $KEY"
