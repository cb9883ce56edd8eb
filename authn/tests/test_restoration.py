"""After a restore: what was taken away since the backup is taken away again."""

from datetime import timedelta

from django.contrib.auth.models import Group
from django.utils import timezone

from authn import done_again, passwords, restoration
from authn.mfa import factors
from authn.models import ApiKey, RecoveryCode
from authn.tests.restored import FRESH, PASSWORD, RestorationCase
from fluxiq.audit.models import AuditEvent, Kind, record
from fluxiq.tests.factories import enrol, issue_key
from merchants.models import Membership, Merchant


class RestorationTests(RestorationCase):
    def test_a_key_revoked_since_the_backup_is_revoked_again(self) -> None:
        api_key, secret = issue_key(self.bakery)
        _, other = issue_key(self.bakery)
        path = self.lost(lambda: api_key.revoke("found in a log"))
        self.data(self.get("/accounts", secret))  # so far the backup has brought it back
        result = restoration.replay([path])
        self.assert_unauthorized(self.get("/accounts", secret))
        self.data(self.get("/accounts", other))
        api_key.refresh_from_db()
        assert api_key.revoked_reason == "found in a log"
        assert (result.done_again, result.by_hand, result.lost) == (1, [], {})

    def test_every_session_ends(self) -> None:
        # A refresh token that was spent after the backup would be the current one again.
        pair = self.sign_in(self.olga)
        self.data(self.post("/auth/refresh", None, {"refresh_token": pair.refresh_token}))
        result = restoration.replay([self.lost()])
        assert result.sessions_ended == 1
        self.assert_unauthorized(self.get("/auth/me", pair.access_token))
        body = {"refresh_token": pair.refresh_token}
        self.assert_unauthorized(self.post("/auth/refresh", None, body))

    def test_a_key_narrowed_or_bound_is_so_again(self) -> None:
        api_key, secret = issue_key(self.bakery, "accounts:read", "pix:write")
        end = timezone.now() + timedelta(days=3)
        changes = {"permissions": ["accounts:read"], "allowed_ips": ["192.0.2.0/24"]}
        restoration.replay([self.lost(lambda: api_key.change({**changes, "expires_at": end}))])
        api_key = ApiKey.objects.get(pk=api_key.pk)
        assert {name: getattr(api_key, name) for name in changes} == changes
        assert api_key.expires_at == end
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_a_rotated_key_ends_when_its_grace_does_and_its_successor_is_told_as_lost(self) -> None:
        over, dead = issue_key(self.bakery)
        going_on, secret = issue_key(self.bakery)
        successors: list[str] = []

        def rotate() -> None:
            successors.append(over.rotate(timedelta())[0].id)
            successors.append(going_on.rotate(timedelta(hours=5))[0].id)

        result = restoration.replay([self.lost(rotate)])
        self.assert_unauthorized(self.get("/accounts", dead))
        self.data(self.get("/accounts", secret))
        going_on.refresh_from_db()
        assert going_on.expires_at is not None
        assert timedelta(hours=4) < going_on.expires_at - timezone.now() <= timedelta(hours=5)
        assert result.lost == {"api_key.rotated": successors}

    def test_a_password_replaced_since_serves_no_more_and_a_reset_sets_a_new_one(self) -> None:
        passwords.reset(self.olga, PASSWORD)
        self.export()
        path = self.lost(lambda: passwords.reset(self.olga, FRESH))
        result = restoration.replay([path])
        assert result.passwords_withdrawn == [self.olga.id]
        assert self.sign_in_with(PASSWORD).status_code == 401
        assert self.sign_in_with(FRESH).status_code == 401
        self.olga.refresh_from_db()
        passwords.reset(self.olga, "a third password of mine")
        self.data(self.sign_in_with("a third password of mine"))

    def test_a_second_factor_moved_or_added_since_is_asked_to_be_enrolled_again(self) -> None:
        passwords.reset(self.olga, PASSWORD)
        enrol(self.olga)
        self.export()

        def move() -> None:
            factors.reset(self.olga)
            enrol(self.olga)

        result = restoration.replay([self.lost(move, lambda: enrol(self.mario))])
        assert result.passwords_withdrawn == [self.olga.id, self.mario.id]
        self.olga.refresh_from_db()
        assert not self.olga.has_second_factor
        assert not self.olga.has_usable_password()

    def test_recovery_codes_used_since_serve_no_more(self) -> None:
        phone = enrol(self.olga)
        self.export()
        code = phone.recovery_codes[0]
        path = self.lost(lambda: factors.prove(self.olga.pk, code, lambda user, proved: None))
        assert RecoveryCode.objects.filter(user=self.olga).count() == 10
        restoration.replay([path])
        assert not RecoveryCode.objects.filter(user=self.olga).exists()
        self.olga.refresh_from_db()
        assert self.olga.has_second_factor

    def test_people_shut_out_are_so_again_unless_they_were_let_in_again(self) -> None:
        restoration.replay(
            [
                self.lost(
                    lambda: self.olga.deactivate("fraud"),
                    self.mario.deactivate,
                    self.mario.reactivate,
                )
            ]
        )
        self.olga.refresh_from_db()
        self.mario.refresh_from_db()
        assert (self.olga.is_active, self.mario.is_active) == (False, True)

    def test_roles_and_memberships_are_as_they_were_changed(self) -> None:
        principal = self.root_principal()
        mario, otto = self.membership(self.mario), self.membership(self.otto)
        restoration.replay(
            [
                self.lost(
                    lambda: mario.change(principal, {"role": "operator"}),
                    lambda: otto.end(principal),
                )
            ]
        )
        mario.refresh_from_db()
        assert mario.role == "operator"
        assert not Membership.objects.filter(pk=otto.pk).exists()

    def test_what_cannot_be_done_alone_is_told(self) -> None:
        # Since the backup another owner came, who is lost, and the only one left.
        principal, owner = self.root_principal(), self.membership(self.olga)
        path = self.lost(
            lambda: self.member(self.bakery, "Nina", "owner"), lambda: owner.end(principal)
        )
        result = restoration.replay([path])
        (left,) = result.by_hand
        assert (left["object_id"], left["kind"]) == (owner.id, "membership.removed")
        assert left["why"] == "A merchant keeps its last owner"

    def test_suspended_merchants_blocked_accounts_and_required_factors_are_so_again(self) -> None:
        restoration.replay(
            [
                self.lost(
                    self.bakery.suspend,
                    lambda: Merchant.objects.get(pk=self.bookshop.pk).set_require_mfa(True),
                    lambda: self.till.change({"status": "blocked"}),
                )
            ]
        )
        self.bakery.refresh_from_db()
        self.bookshop.refresh_from_db()
        self.till.refresh_from_db()
        assert self.bakery.is_suspended
        assert self.bookshop.require_mfa
        assert self.till.status == "blocked"

    def test_flags_taken_from_staff_are_taken_again_and_groups_are_told(self) -> None:
        group = Group.objects.create(name="night shift")
        group_id = f"group_{group.pk}"

        def lower() -> None:
            audited = {"is_superuser": False, "email": "root@example.com", "groups": []}
            record(Kind.USER_CHANGED, object_id=self.root.id, after=audited)
            record(Kind.STAFF_ACTION, object_id=group_id)

        result = restoration.replay([self.lost(lower)])
        self.root.refresh_from_db()
        assert (self.root.is_superuser, self.root.email) == (False, "root@example.com")
        assert {left["object_id"] for left in result.by_hand} == {self.root.id, group_id}

    def test_flags_alone_leave_nothing_to_do_by_hand_and_a_name_alone_all(self) -> None:
        def rename_and_lower() -> None:
            record(Kind.USER_CHANGED, object_id=self.root.id, after={"is_superuser": False})
            record(Kind.USER_CHANGED, object_id=self.sam.id, after={"name": "Samuel"})
            record(Kind.MERCHANT_CHANGED, object_id=self.bakery.id, after={"name": "Padaria"})

        result = restoration.replay([self.lost(rename_and_lower)])
        self.root.refresh_from_db()
        assert not self.root.is_superuser
        (left,) = result.by_hand
        assert (left["object_id"], left["why"]) == (self.sam.id, "look at name on the user's page")
        changed = AuditEvent.objects.filter(kind=Kind.USER_CHANGED, object_id=self.sam.id)
        assert [event.after for event in changed] == []

    def test_a_key_that_ran_out_meanwhile_is_left_as_it_is(self) -> None:
        soon = timezone.now() + timedelta(hours=1)
        narrowed, _ = issue_key(self.bakery, "accounts:read", "pix:write", expires_at=soon)
        rotated, _ = issue_key(self.bakery, expires_at=soon)
        path = self.lost(
            lambda: narrowed.change({"permissions": ["accounts:read"]}),
            lambda: rotated.rotate(timedelta(hours=5)),
        )
        with self.at(timezone.now() + timedelta(hours=2)):
            result = restoration.replay([path])
        assert result.by_hand == []
        narrowed.refresh_from_db()
        rotated.refresh_from_db()
        assert narrowed.permissions == ["accounts:read", "pix:write"]
        assert (rotated.expires_at, rotated.revoked_at) == (soon, None)

    def test_who_was_suspended_and_resumed_is_not_suspended(self) -> None:
        restoration.replay(
            [
                self.lost(
                    self.bakery.suspend, lambda: Merchant.objects.get(pk=self.bakery.pk).resume()
                )
            ]
        )
        self.bakery.refresh_from_db()
        assert not self.bakery.is_suspended

    def test_what_was_made_since_is_told_as_lost(self) -> None:
        made: list[ApiKey] = []

        def make() -> None:
            made.append(issue_key(self.bakery)[0])
            made[0].revoke()

        path = self.lost(make)
        result = restoration.replay([path])
        assert result.lost == {"api_key.issued": [made[0].id]}
        assert result.done_again == 0

    def test_every_kind_of_event_was_thought_of(self) -> None:
        passed = done_again.PASSES
        assert passed | done_again.MAKES | set(done_again.AGAIN) == set(Kind)
        assert not passed & (done_again.MAKES | set(done_again.AGAIN))
