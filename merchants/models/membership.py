"""A person's role at a merchant."""

from collections.abc import Mapping
from typing import Any, Self

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Length
from django.db.models.lookups import Exact
from django.utils import timezone

from accounts import documents
from accounts.models import User, normalise_document, validate_document
from fluxiq import ids
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict, NotFound
from fluxiq.names import NameField
from fluxiq.principals import Principal
from fluxiq.scopes import Role, permissions_of
from merchants import invitations
from merchants.models.merchant import Merchant, TenantQuerySet, forbid_granting_beyond
from merchants.signals import grants_changed


class MembershipQuerySet(TenantQuerySet["Membership"]):
    """Memberships, as their merchant's tenants see them."""

    def in_force(self) -> Self:
        """Those that grant something: accepted and active."""
        return self.filter(status=Membership.Status.ACTIVE)

    def without_second_factor(self) -> Self:
        """Those of people whom a password alone signs in."""
        return self.filter(user__isnull=False, user__mfa_enrolled_at__isnull=True)


_MembershipManager = models.Manager.from_queryset(MembershipQuerySet)


class MembershipManager(_MembershipManager["Membership"]):
    """Makes memberships, by invitation or (for staff and commands) at once."""

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
    ) -> "tuple[Membership, str]":
        """Invite a person, whether or not they have a user yet.

        Returns the membership and the invitation, which stands nowhere else. Nothing is granted
        until it is accepted. Raises Forbidden where the role holds what the principal does not,
        Conflict where the document is a member already, documents.InvalidDocument.
        """
        forbid_granting_beyond(principal, merchant.id, permissions_of(role))
        secret = invitations.new()
        try:
            with transaction.atomic():
                membership: Membership = self.create(
                    merchant=merchant,
                    document=normalise_document(document),
                    name=name,
                    role=role,
                    status=Membership.Status.INVITED,
                    invitation_digest=invitations.digest(secret),
                    invitation_expires_at=timezone.now() + invitations.LIFETIME,
                )
        except IntegrityError as error:
            raise Conflict("This document is a member of the merchant already") from error
        audit.record(
            audit.Kind.MEMBER_INVITED,
            object_id=membership.id,
            merchant_id=merchant.id,
            after={"document": membership.masked_document, "name": name, "role": role},
        )
        if email:
            invitations.mail(email, merchant.name, name, secret)
        return membership, secret

    @transaction.atomic
    def add(self, merchant: Merchant, user: User, role: str) -> "Membership":
        """Make a user a member at once. Raises Conflict where the document is a member already."""
        try:
            with transaction.atomic():
                membership: Membership = self.create(
                    merchant=merchant,
                    user=user,
                    document=user.document,
                    name=user.name,
                    role=role,
                    status=Membership.Status.ACTIVE,
                )
        except IntegrityError as error:
            raise Conflict("This document is a member of the merchant already") from error
        audit.record(
            audit.Kind.MEMBER_ADDED,
            object_id=membership.id,
            merchant_id=merchant.id,
            after={"user_id": user.id, "role": role},
        )
        grants_changed.send(Membership, user_id=user.id)
        return membership

    def open_invitation(self, secret: str) -> "Membership | None":
        """The membership that this invitation opens, or None: unknown, spent or expired."""
        found: Membership | None = self.filter(
            invitation_digest=invitations.digest(secret),
            status=Membership.Status.INVITED,
            invitation_expires_at__gt=timezone.now(),
        ).first()
        return found


class Membership(models.Model):
    """A person's role at a merchant; first an invitation, then bound to a user."""

    class Status(models.TextChoices):
        INVITED = "invited"
        ACTIVE = "active"
        INACTIVE = "inactive"

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_membership_id, editable=False
    )
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="memberships",
    )
    document = models.CharField(max_length=documents.CNPJ_LENGTH, validators=[validate_document])
    name = NameField()
    role = models.CharField(max_length=10, choices=[(r, r.capitalize()) for r in Role])
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    invitation_digest = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    invitation_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MembershipManager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["merchant", "document"], name="membership_once_per_document"
            ),
            models.UniqueConstraint(fields=["merchant", "user"], name="membership_once_per_user"),
            models.CheckConstraint(
                condition=models.Q(Exact(Length("document"), documents.CPF_LENGTH))
                | models.Q(Exact(Length("document"), documents.CNPJ_LENGTH)),
                name="membership_document_is_cpf_or_cnpj",
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=[str(role) for role in Role]),
                name="membership_role_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status="invited",
                    user__isnull=True,
                    invitation_digest__isnull=False,
                    invitation_expires_at__isnull=False,
                )
                | models.Q(
                    status__in=["active", "inactive"],
                    user__isnull=False,
                    invitation_digest__isnull=True,
                ),
                name="membership_is_invited_or_bound_to_a_user",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name}, {self.role} at {self.merchant}"

    @property
    def masked_document(self) -> str:
        """The document as far as it may be shown."""
        return documents.mask(self.document)

    def is_for(self, document: str) -> bool:
        """Whether this is the document that was invited, however it is punctuated."""
        try:
            return normalise_document(document) == self.document
        except documents.InvalidDocument:
            return False

    @transaction.atomic
    def accept(self, user: User) -> None:
        """Bind an invitation to the user who proved to be the one invited.

        Raises Conflict where it was spent meanwhile.
        """
        bound = Membership.objects.filter(pk=self.pk, status=self.Status.INVITED).update(
            status=self.Status.ACTIVE,
            user=user,
            invitation_digest=None,
            invitation_expires_at=None,
        )
        if not bound:
            raise Conflict("This invitation was accepted already")
        self.refresh_from_db()
        audit.record(
            audit.Kind.MEMBER_ADDED,
            object_id=self.id,
            merchant_id=self.merchant_id,
            before={"status": self.Status.INVITED},
            after={"status": self.status, "user_id": user.id, "role": self.role},
            actor=("user", user.id),
        )
        grants_changed.send(Membership, user_id=user.id)

    @transaction.atomic
    def change(self, principal: Principal, changes: Mapping[str, Any]) -> None:
        """Change name, role or status. Raises Forbidden or Conflict as `_guard` tells."""
        current = self._locked()
        role, status = changes.get("role", current.role), changes.get("status", current.status)
        stays_owner = role == Role.OWNER and status == self.Status.ACTIVE
        current._guard(principal, role, stays_owner=stays_owner)
        if current.status == self.Status.INVITED and status != current.status:
            raise Conflict("An invitation has no status to change until it is accepted")
        before = {k: getattr(current, k) for k, v in changes.items() if getattr(current, k) != v}
        if before:
            Membership.objects.filter(pk=self.pk).update(**{k: changes[k] for k in before})
            audit.record(
                audit.Kind.MEMBER_CHANGED,
                object_id=self.id,
                merchant_id=self.merchant_id,
                before=before,
                after={k: changes[k] for k in before},
            )
            grants_changed.send(Membership, user_id=current.user_id)
        self.refresh_from_db()

    @transaction.atomic
    def end(self, principal: Principal) -> None:
        """End the membership. Raises Forbidden or Conflict as `_guard` tells."""
        current = self._locked()
        current._guard(principal, current.role, stays_owner=False)
        Membership.objects.filter(pk=self.pk).delete()
        audit.record(
            audit.Kind.MEMBER_REMOVED,
            object_id=self.id,
            merchant_id=self.merchant_id,
            before={"user_id": current.user_id, "role": current.role, "name": current.name},
        )
        grants_changed.send(Membership, user_id=current.user_id)

    def _locked(self) -> "Membership":
        """This row as it is now, with the merchant's row locked: owners are counted under it.

        Raises NotFound where it ended meanwhile.
        """
        Merchant.objects.select_for_update().get(pk=self.merchant_id)
        found: Membership | None = Membership.objects.filter(pk=self.pk).first()
        if found is None:
            raise NotFound
        return found

    def _guard(self, principal: Principal, role: str, *, stays_owner: bool) -> None:
        """Refuse what would escalate, or leave the merchant without an owner.

        Raises Forbidden where the present or the new role holds what the principal does not,
        Conflict where an owner lowers themselves or the last owner would go.
        """
        forbid_granting_beyond(principal, self.merchant_id, permissions_of(self.role))
        forbid_granting_beyond(principal, self.merchant_id, permissions_of(role))
        is_owner = self.role == Role.OWNER and self.status == self.Status.ACTIVE
        if stays_owner or not is_owner:
            return
        if principal.is_user and principal.id == self.user_id:
            raise Conflict("Owners cannot lower or remove themselves")
        others = Membership.objects.in_force().filter(
            merchant_id=self.merchant_id, role=Role.OWNER, user__is_active=True
        )
        if not others.exclude(pk=self.pk).exists():
            raise Conflict("A merchant keeps its last owner")
