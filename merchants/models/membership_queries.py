"""Questions about memberships, and the two ways to make one."""

from typing import TYPE_CHECKING, Self

from django.db import IntegrityError, models, transaction
from django.utils import timezone

from accounts.models import User, normalise_document
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict
from fluxiq.principals import Principal
from fluxiq.scopes import permissions_of
from merchants import invitations
from merchants.models.merchant import Merchant, TenantQuerySet, forbid_granting_beyond
from merchants.signals import invitation_mailed

if TYPE_CHECKING:
    from merchants.models.membership import Membership

IS_MEMBER = "This document is a member of the merchant already"


class MembershipStatus(models.TextChoices):
    """How far a membership is."""

    INVITED = "invited"
    ACTIVE = "active"
    INACTIVE = "inactive"


class MembershipQuerySet(TenantQuerySet["Membership"]):
    """Memberships, as their merchant's tenants see them."""

    def in_force(self) -> Self:
        """Those that grant something: accepted and active."""
        return self.filter(status=MembershipStatus.ACTIVE)

    def of_user(self, user_id: str) -> Self:
        """A person's own, with their merchants, whatever they grant."""
        return self.filter(user_id=user_id).select_related("merchant")

    def without_second_factor(self) -> Self:
        """Those of people whom a password alone signs in."""
        return self.filter(user__isnull=False, user__mfa_enrolled_at__isnull=True)


_MembershipManager = models.Manager.from_queryset(MembershipQuerySet)


class MembershipManager(_MembershipManager["Membership"]):
    """Makes memberships: by an invitation that is accepted, or together with a new user.

    There is no third way. Whoever invites a document that is not theirs can accept it themselves,
    so an existing user is no proof of a person: each merchant's membership takes an acceptance.
    Source: contract, section 3.
    """

    @transaction.atomic
    def invite(
        self,
        principal: Principal,
        merchant: Merchant,
        *,
        document: str,
        name: str,
        role: str,
        email: str = "",
    ) -> "tuple[Membership, str | None]":
        """Invite a person, whether or not they have a user yet.

        Returns the membership and the invitation, which stands nowhere else; None in its place
        where it is mailed to `email`. Nothing is granted until it is accepted. An invitation to
        the same document that expired is replaced. Raises Forbidden where the role holds what the
        principal does not, Conflict where the document is a member already or too many invitations
        are open, RateLimited where the mailbox had its invitations, documents.InvalidDocument.
        """
        forbid_granting_beyond(principal, merchant.id, permissions_of(role))
        document = normalise_document(document)
        self._make_room(merchant, document)
        secret = invitations.new()
        try:
            with transaction.atomic():
                membership: Membership = self.create(
                    merchant=merchant,
                    document=document,
                    name=name,
                    role=role,
                    status=MembershipStatus.INVITED,
                    invitation_digest=invitations.digest(secret),
                    invitation_expires_at=timezone.now() + invitations.LIFETIME,
                )
        except IntegrityError as error:
            raise Conflict(IS_MEMBER) from error
        audit.record(
            audit.Kind.MEMBER_INVITED,
            object_id=membership.id,
            merchant_id=merchant.id,
            after={"document": membership.masked_document, "name": name, "role": role},
        )
        if not email:
            return membership, secret
        # Last, so that nothing counts for the mailbox that is refused for another reason.
        invitation_mailed.send(self.model, address=email)
        invitations.mail(email, merchant.name, name, secret)
        return membership, None

    def _make_room(self, merchant: Merchant, document: str) -> None:
        """Lock the merchant's row, so that its open invitations are counted exactly, and end an
        invitation to the document that expired. Raises Conflict where too many are open."""
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
        invited = self.filter(merchant=merchant, status=MembershipStatus.INVITED)
        now = timezone.now()
        for lapsed in invited.filter(document=document, invitation_expires_at__lte=now):
            lapsed.erase()
        if invited.filter(invitation_expires_at__gt=now).count() >= invitations.MAX_OPEN:
            raise Conflict(invitations.TOO_MANY_OPEN)

    @transaction.atomic
    def add_with_new_user(self, merchant: Merchant, user: User, role: str) -> "Membership":
        """Register a new user, and make them a member at once.

        For whoever makes both in one step, and so vouches for the person: `create_user` and the
        demo. The user is not saved yet. A person who has a user is invited instead. Raises
        IntegrityError for a document that has a user, Conflict where it is invited already.
        """
        User.objects.register(user)
        try:
            with transaction.atomic():
                membership: Membership = self.create(
                    merchant=merchant,
                    user=user,
                    document=user.document,
                    name=user.name,
                    role=role,
                    status=MembershipStatus.ACTIVE,
                )
        except IntegrityError as error:
            raise Conflict(IS_MEMBER) from error
        audit.record(
            audit.Kind.MEMBER_ADDED,
            object_id=membership.id,
            merchant_id=merchant.id,
            after={"user_id": user.id, "role": role},
        )
        return membership

    @transaction.atomic
    def end_invitations_to(self, document: str) -> int:
        """End every merchant's invitation to a document, accepted by nobody yet. How many."""
        invited = list(self.filter(document=document, status=MembershipStatus.INVITED))
        for membership in invited:
            membership.erase()
        return len(invited)

    def open_invitation(self, secret: str) -> "Membership | None":
        """The membership that this invitation opens, or None: unknown, spent or expired."""
        found: Membership | None = self.filter(
            invitation_digest=invitations.digest(secret),
            status=MembershipStatus.INVITED,
            invitation_expires_at__gt=timezone.now(),
        ).first()
        return found
