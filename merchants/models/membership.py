"""A person's role at a merchant."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import models, transaction
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
from merchants.models.membership_queries import MembershipManager, MembershipStatus
from merchants.models.merchant import Merchant, forbid_granting_beyond
from merchants.signals import grants_changed

OWNER_STAYS = "Owners cannot lower or remove themselves"


class Membership(models.Model):
    """A person's role at a merchant; first an invitation, then bound to a user."""

    Status = MembershipStatus

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

    @property
    def is_owner_in_force(self) -> bool:
        """Whether it makes an owner, one of whom a merchant keeps."""
        return self.role == Role.OWNER and self.status == self.Status.ACTIVE

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
        current.erase()

    @transaction.atomic
    def leave(self) -> None:
        """End it for the member themselves, whatever it grants.

        Raises Conflict for an active owner, whom another owner or FluxiQ staff removes.
        """
        current = self._locked()
        if current.is_owner_in_force:
            raise Conflict(OWNER_STAYS)
        current.erase()

    @transaction.atomic
    def erase(self) -> None:
        """Remove the row, and tell of it. Who may do so was asked already."""
        if not Membership.objects.filter(pk=self.pk).delete()[0]:
            return
        audit.record(
            audit.Kind.MEMBER_REMOVED,
            object_id=self.id,
            merchant_id=self.merchant_id,
            before={"user_id": self.user_id, "role": self.role, "name": self.name},
        )
        grants_changed.send(Membership, user_id=self.user_id)

    def _locked(self) -> "Membership":
        """This row as it is now, with the merchant's row locked: owners are counted under it.

        Raises NotFound where it ended meanwhile.
        """
        Merchant.objects.lock(self.merchant_id)
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
        if stays_owner or not self.is_owner_in_force:
            return
        if principal.is_user and principal.id == self.user_id:
            raise Conflict(OWNER_STAYS)
        others = Membership.objects.in_force().filter(
            merchant_id=self.merchant_id, role=Role.OWNER, user__is_active=True
        )
        if not others.exclude(pk=self.pk).exists():
            raise Conflict("A merchant keeps its last owner")
