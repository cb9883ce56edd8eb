"""POST …/api-keys/{key_id}/rotate."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from authn.models import ApiKey
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

LAST_MOMENTS = (
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59",
    "9999-12-31T11:59:59-12:00",
)  # fmt: skip


class RotationTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, self.secret = issue_key(
            self.bakery, "accounts:read", "pix:write", allowed_ips=["127.0.0.0/8"], rate_limit=7
        )
        self.path = f"/merchants/{self.bakery.id}/api-keys/{self.api_key.id}/rotate"

    def rotate(self, **body: Any) -> Any:
        return self.post(self.path, self.olga, body)

    def test_the_successor_has_the_same_name_permissions_and_limits(self) -> None:
        answer = self.data(self.rotate(), 201)
        successor = ApiKey.objects.get(pk=answer["id"])
        for field in ("name", "permissions", "allowed_ips", "rate_limit", "merchant_id"):
            assert getattr(successor, field) == getattr(self.api_key, field), field
        assert self.get("/accounts", answer["key"]).status_code == 200

    def test_lineage_shows_on_both(self) -> None:
        answer = self.data(self.rotate(), 201)
        assert answer["rotated_from"] == self.api_key.id
        old = self.data(self.get(self.path.removesuffix("/rotate"), self.olga))
        assert old["rotated_to"] == answer["id"]

    def test_the_old_key_goes_on_for_its_grace_and_is_then_dead(self) -> None:
        self.data(self.rotate(grace_seconds=60), 201)
        now = timezone.now()
        with self.at(now + timedelta(seconds=55)):
            assert self.get("/accounts", self.secret).status_code == 200
        with self.at(now + timedelta(seconds=61)):
            self.assert_unauthorized(self.get("/accounts", self.secret))

    def test_the_grace_is_a_day_unless_told_otherwise(self) -> None:
        self.data(self.rotate(), 201)
        self.api_key.refresh_from_db()
        assert self.api_key.revoked_at is not None
        left = self.api_key.revoked_at - timezone.now()
        assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)

    def test_without_grace_the_old_key_is_dead_at_once(self) -> None:
        self.data(self.rotate(grace_seconds=0), 201)
        self.assert_unauthorized(self.get("/accounts", self.secret))

    def test_a_key_in_its_grace_can_be_revoked_at_once(self) -> None:
        self.data(self.rotate(), 201)
        assert self.delete(self.path.removesuffix("/rotate"), self.olga).status_code == 204
        self.assert_unauthorized(self.get("/accounts", self.secret))

    def test_a_lifetime_starts_anew(self) -> None:
        api_key, _ = issue_key(self.bakery, expires_at=timezone.now() + timedelta(days=10))
        with self.at(timezone.now() + timedelta(days=4)):
            successor, _ = api_key.rotate(timedelta(0))
            assert successor.expires_at is not None
            left = successor.expires_at - timezone.now()
        assert abs(left - timedelta(days=10)) < timedelta(seconds=2)

    def test_a_lifetime_that_would_pass_the_year_9999_ends_with_it(self) -> None:
        path = f"/merchants/{self.bakery.id}/api-keys"
        for given in LAST_MOMENTS:
            body = {"name": "Lasting", "permissions": ["pix:write"], "expires_at": given}
            key = self.data(self.post(path, self.olga, body), 201)
            rotated = self.data(self.post(f"{path}/{key['id']}/rotate", self.olga), 201)
            assert rotated["expires_at"] == "9999-12-31T23:59:59Z", given
            again = self.data(self.post(f"{path}/{rotated['id']}/rotate", self.olga), 201)
            assert again["expires_at"] == "9999-12-31T23:59:59Z", given
            assert self.get("/auth/me", again["key"]).status_code == 200

    def test_an_unfit_grace_is_refused(self) -> None:
        unfit: tuple[Any, ...] = (-1, 604801, "60", 1.5, None, True, [], 10**30)
        for grace in unfit:
            self.assert_invalid(self.rotate(grace_seconds=grace), "grace_seconds")
        self.assert_invalid(self.rotate(grace=60), "grace")

    def test_a_dead_or_rotated_key_cannot_be_rotated(self) -> None:
        self.data(self.rotate(), 201)
        self.error(self.rotate(), 409)
        dead, _ = issue_key(self.bakery)
        dead.revoke()
        path = f"/merchants/{self.bakery.id}/api-keys/{dead.id}/rotate"
        self.error(self.post(path, self.olga), 409)
        assert ApiKey.objects.count() == 3

    def test_a_repeated_call_gets_the_same_successor_and_never_a_second(self) -> None:
        named = {"HTTP_IDEMPOTENCY_KEY": "deploy-2026-11-24"}
        first = self.data(self.post(self.path, self.olga, {"grace_seconds": 0}, **named), 201)
        again = self.data(self.post(self.path, self.olga, {"grace_seconds": 0}, **named), 200)
        assert again["id"] == first["id"]
        assert again["key"] is None
        assert "Rotate this successor" in again["message"]
        assert ApiKey.objects.count() == 2
        assert AuditEvent.objects.filter(kind=Kind.API_KEY_ROTATED).count() == 1
        fresh = self.post(f"/merchants/{self.bakery.id}/api-keys/{first['id']}/rotate", self.olga)
        assert self.data(fresh, 201)["key"] != first["key"]

    def test_another_call_is_another_name(self) -> None:
        self.data(self.post(self.path, self.olga, HTTP_IDEMPOTENCY_KEY="one"), 201)
        self.error(self.post(self.path, self.olga, HTTP_IDEMPOTENCY_KEY="two"), 409)
        self.error(self.post(self.path, self.olga), 409)

    def test_an_unfit_name_is_refused(self) -> None:
        for name in ("x" * 256, "é", "a\tb"):
            response = self.post(self.path, self.olga, HTTP_IDEMPOTENCY_KEY=name)
            self.assert_invalid(response, "Idempotency-Key")
        assert ApiKey.objects.count() == 1

    def test_rotation_is_audited(self) -> None:
        answer = self.data(self.rotate(grace_seconds=5), 201)
        event = AuditEvent.objects.get(kind=Kind.API_KEY_ROTATED)
        assert event.object_id == self.api_key.id
        assert event.after == {"successor": answer["id"], "grace_seconds": 5}

    def test_others_may_not_rotate(self) -> None:
        self.assert_forbidden(self.post(self.path, self.mario), "api_keys:write")
        self.assert_not_found(self.post(self.path, self.ana))
