"""Second factors at the staff console: resetting a person's, requiring one at a merchant."""

from accounts.models import User
from authn.models import RecoveryCode, TotpFactor
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import UserFactory, enrol
from merchants.models import Merchant

CHANGE_USER = ("accounts.view_user", "accounts.change_user")


class ResetTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        enrol(self.olga)

    def has_factor(self, user: User) -> bool:
        return User.objects.get(pk=user.pk).has_second_factor

    def test_a_lost_factor_is_removed_with_a_reason_and_every_session_ends(self) -> None:
        tokens = self.sign_in(self.olga)
        self.enter(self.root)
        self.send(
            f"accounts/user/{self.olga.pk}/reset-mfa/", confirmed="yes", reason="Phone stolen"
        )
        assert not self.has_factor(self.olga)
        assert not TotpFactor.objects.filter(user=self.olga).exists()
        assert not RecoveryCode.objects.filter(user=self.olga).exists()
        self.assert_unauthorized(self.get("/auth/me", tokens.access_token))
        event = AuditEvent.objects.get(kind="user.mfa_reset")
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.pk)
        assert (event.object_id, event.after) == (self.olga.pk, {"reason": "Phone stolen"})

    def test_without_a_reason_or_a_confirmation_it_stays(self) -> None:
        self.enter(self.root)
        page = f"accounts/user/{self.olga.pk}/reset-mfa/"
        self.send(page, 200, confirmed="yes", reason="")
        self.send(page, 200, reason="Phone stolen")
        assert self.has_factor(self.olga)

    def test_the_button_and_the_date_are_there_for_whoever_has_one(self) -> None:
        self.enter(self.root)
        assert "reset-mfa/" in self.look(f"accounts/user/{self.olga.pk}/change/")
        page = self.look(f"accounts/user/{self.otto.pk}/change/")
        assert "reset-mfa/" not in page
        assert "econd factor since" in page
        self.send(f"accounts/user/{self.otto.pk}/reset-mfa/", confirmed="yes", reason="x")
        assert not AuditEvent.objects.filter(kind="user.mfa_reset").exists()

    def test_many_are_reset_from_the_list_those_alone_that_have_one(self) -> None:
        enrol(self.ana)
        self.enter(self.root)
        self.act("accounts/user/", "reset-mfa", self.olga, self.ana, self.otto, reason="Recall")
        assert not self.has_factor(self.olga)
        assert not self.has_factor(self.ana)
        assert AuditEvent.objects.filter(kind="user.mfa_reset").count() == 2

    def test_of_other_staff_only_a_superuser_resets_it_and_nobody_their_own(self) -> None:
        colleague: User = UserFactory.create(is_staff=True)
        enrol(colleague)
        enrol(self.sam)
        self.enter(self.sam, *CHANGE_USER)
        session = self.client.session
        session["second_factor"] = str(self.sam.mfa_enrolled_at).replace(" ", "T")
        session.save()
        for user in (colleague, self.sam):
            path = f"accounts/user/{user.pk}/reset-mfa/"
            self.send(path, 403, confirmed="yes", reason="x")
            assert self.has_factor(user)
        self.send(f"accounts/user/{self.olga.pk}/reset-mfa/", confirmed="yes", reason="x")
        assert not self.has_factor(self.olga)


class RequireTests(ConsoleTestCase):
    def required(self) -> bool:
        return Merchant.objects.get(pk=self.bakery.pk).require_mfa

    def test_required_members_without_one_hold_nothing_and_waived_they_do_again(self) -> None:
        before = self.sign_in(self.olga)
        self.enter(self.root)
        self.send(f"merchants/merchant/{self.bakery.pk}/require-mfa/", confirmed="yes")
        assert self.required()
        self.assert_unauthorized(self.get("/auth/me", before.access_token))
        self.assert_forbidden(self.get("/users", self.olga), "users:read")
        self.send(f"merchants/merchant/{self.bakery.pk}/waive-mfa/", confirmed="yes")
        assert not self.required()
        assert self.get("/users", self.olga).status_code == 200
        events = AuditEvent.objects.filter(kind="merchant.changed").order_by("pk")
        found = [(event.actor_kind, event.actor_id, event.after) for event in events]
        assert found == [
            ("staff", self.root.pk, {"require_mfa": required}) for required in (True, False)
        ]

    def test_the_page_offers_what_is_not_so_yet(self) -> None:
        self.enter(self.root)
        page = self.look(f"merchants/merchant/{self.bakery.pk}/change/")
        assert "require-mfa/" in page
        assert "waive-mfa/" not in page
        self.bakery.set_require_mfa(True)
        page = self.look(f"merchants/merchant/{self.bakery.pk}/change/")
        assert "/require-mfa/" not in page
        assert "waive-mfa/" in page

    def test_who_may_only_look_changes_nothing(self) -> None:
        self.enter(self.sam, "merchants.view_merchant")
        self.send(f"merchants/merchant/{self.bakery.pk}/require-mfa/", 403, confirmed="yes")
        assert not self.required()
