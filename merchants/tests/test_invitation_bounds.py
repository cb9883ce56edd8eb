"""How many invitations are open at once, and how many are mailed to one mailbox."""

from unittest import mock

from django.core import mail
from django.db.models import QuerySet
from django.test import override_settings
from django.utils import timezone

from authn import ratelimit
from fluxiq.audit.models import Kind
from merchants import invitations
from merchants.models import Membership
from merchants.tests.invitations import InvitationTestCase

MAILBOX = "nina@example.com"


class BoundsTestCase(InvitationTestCase):
    def expire(self, invited: QuerySet[Membership]) -> None:
        """Let the time of these invitations run out."""
        invited.update(invitation_expires_at=timezone.now())


@override_settings(RATE_LIMIT_JWT=(10_000, 60))
class OpenTests(BoundsTestCase):
    def fill(self, count: int) -> None:
        """So many open invitations of the bakery."""
        expires_at = timezone.now() + invitations.LIFETIME
        Membership.objects.bulk_create(
            Membership(
                merchant=self.bakery,
                document=f"{20_000_000_000 + n}",
                name="Invited",
                role="operator",
                status=Membership.Status.INVITED,
                invitation_digest=invitations.digest(f"inv_{n}"),
                invitation_expires_at=expires_at,
            )
            for n in range(count)
        )

    def test_a_merchant_has_a_hundred_open_and_no_more(self) -> None:
        self.fill(99)
        self.invitation()
        before = self.written()
        error = self.error(self.invite(document="98765432101", email=MAILBOX), 409)
        assert error["code"] == "CONFLICT"
        assert error["message"].startswith("This merchant has 100 open invitations.")
        assert self.written() == before

    def test_those_of_other_merchants_do_not_count(self) -> None:
        self.fill(100)
        response = self.invite(self.root, merchant_id=self.bookshop.id)
        assert response.status_code == 201

    def test_the_accepted_the_removed_and_the_expired_do_not_count(self) -> None:
        self.fill(99)
        accepted = self.invitation()
        assert self.accept(accepted).status_code == 200
        made = self.data(self.invite(document="98765432101"), 201)
        assert self.invite(document="98765432102").status_code == 409
        assert self.delete(f"/users/{made['id']}", self.olga).status_code == 204
        assert self.invite(document="98765432102").status_code == 201
        assert self.invite(document="98765432103").status_code == 409
        self.expire(Membership.objects.filter(document="98765432102"))
        assert self.invite(document="98765432103").status_code == 201


class ExpiredTests(BoundsTestCase):
    def test_one_that_expired_is_replaced_and_its_secret_serves_no_more(self) -> None:
        old = self.invitation()
        first = self.invited()
        self.expire(Membership.objects.filter(pk=first.pk))
        new = self.invitation()
        assert self.invited().pk != first.pk
        (removed,) = self.events(Kind.MEMBER_REMOVED)
        assert removed.object_id == first.pk
        self.assert_refused(self.accept(old))
        assert self.accept(new).status_code == 200

    def test_one_that_is_open_is_not(self) -> None:
        old = self.invitation()
        assert self.invite().status_code == 409
        assert self.accept(old).status_code == 200


@override_settings(RATE_LIMIT_JWT=(10_000, 60))
class MailboxTests(InvitationTestCase):
    def invite_by_mail(self, number: int, email: str = MAILBOX, merchant: str = "") -> int:
        """The status of an invitation of one document more."""
        with self.captureOnCommitCallbacks(execute=True):
            response = self.invite(
                self.root,
                document=f"{98_765_432_100 + number}",
                email=email,
                merchant_id=merchant or self.bakery.id,
            )
        self.last = response
        return int(response.status_code)

    def test_three_are_mailed_to_one_mailbox_in_a_day_over_all_merchants(self) -> None:
        assert [self.invite_by_mail(n) for n in range(2)] == [201, 201]
        assert self.invite_by_mail(2, merchant=self.bookshop.id) == 201
        before = self.written()
        assert self.invite_by_mail(3) == 429
        error = self.error(self.last, 429)
        assert error["code"] == "RATE_LIMITED"
        assert 1 <= error["retry_after"] <= 24 * 60 * 60
        assert self.last.headers["Retry-After"] == str(error["retry_after"])
        assert self.written() == before
        assert len(mail.outbox) == 3
        assert self.invite_by_mail(3, email="otto@example.com") == 201

    def test_case_a_tag_and_the_spelling_of_the_domain_make_no_other_mailbox(self) -> None:
        spellings = ("nina@bücher.example", "NINA+a@BÜCHER.example", "nina+b@xn--bcher-kva.example")
        assert [self.invite_by_mail(n, email=e) for n, e in enumerate(spellings)] == [201] * 3
        assert self.invite_by_mail(3, email="Nina@Bücher.example") == 429

    def test_what_is_refused_for_another_reason_does_not_count(self) -> None:
        for _ in range(4):
            assert self.invite(document=self.mario.document, email=MAILBOX).status_code == 409
        assert [self.invite_by_mail(n) for n in range(4)] == [201, 201, 201, 429]

    def test_one_without_an_address_is_not_bounded_by_it(self) -> None:
        assert [self.invite_by_mail(n) for n in range(4)] == [201, 201, 201, 429]
        assert self.invite(document="98765432109").status_code == 201

    def test_the_address_names_no_counter(self) -> None:
        with mock.patch("authn.throttle.ratelimit.count", wraps=ratelimit.count) as counted:
            self.invite_by_mail(0)
        buckets = [call.args[0] for call in counted.call_args_list]
        assert "invitation-mail" in {bucket.kind for bucket in buckets}
        assert not [bucket for bucket in buckets if "nina" in bucket.owner]
