"""Merchants, and what belongs to them as one principal may see it."""

from collections.abc import Sequence
from typing import ClassVar, Self, TypeVar

from django.db import IntegrityError, models, transaction
from django.db.models.functions import Length
from django.db.models.lookups import Exact
from django.utils import timezone

from accounts import documents
from accounts.models import clean_document, normalise_document, validate_document
from fluxiq import ids
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict, Forbidden, NotFound, ValidationFailed
from fluxiq.names import NameField
from fluxiq.principals import Principal
from fluxiq.scopes import Permission
from merchants.signals import merchant_changed, second_factor_required

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[M_co]):
    """Rows that belong to a merchant, as one principal may see them."""

    merchant_field: ClassVar[str] = "merchant_id"

    def at_merchants_of(self, principal: Principal) -> Self:
        """Rows that exist for the principal at all, whatever it may do with them."""
        if principal.is_superuser:
            return self
        return self.filter(
            **{f"{self.merchant_field}__in": [g.merchant_id for g in principal.grants]}
        )

    def listed_for(
        self, principal: Principal, permission: Permission, merchant_id: str | None = None
    ) -> Self:
        """Rows where the permission is held; of one merchant where `merchant_id` is given.

        Raises as `merchants_listed` does.
        """
        merchant_ids = merchants_listed(principal, permission, merchant_id)
        if merchant_ids is None:
            return self
        return self.filter(**{f"{self.merchant_field}__in": merchant_ids})


def merchants_listed(
    principal: Principal, permission: Permission, merchant_id: str | None = None
) -> list[str] | None:
    """The merchants whose rows a list holds: those where the permission is held; None for all.

    Raises NotFound for a `merchant_id` that is not the principal's, Forbidden where the permission
    is held at none (or not at that one).
    """
    if merchant_id is not None:
        require(principal, permission, merchant_id)
        return [merchant_id]
    if principal.is_superuser:
        return None
    merchant_ids = principal.merchants_with([permission])
    if not merchant_ids:
        raise Forbidden(permission)
    return merchant_ids


class MerchantQuerySet(TenantQuerySet["Merchant"]):
    """Merchants, each its own tenant."""

    merchant_field = "id"

    def known_to(self, principal: Principal, merchant_id: str) -> "Merchant":
        """The merchant of that id, as it exists for the principal at all. Raises NotFound."""
        is_id = ids.is_valid(ids.Prefix.MERCHANT, merchant_id)
        found = self.at_merchants_of(principal).filter(pk=merchant_id).first() if is_id else None
        if found is None:
            raise NotFound
        return found


_MerchantManager = models.Manager.from_queryset(MerchantQuerySet)


class MerchantManager(_MerchantManager["Merchant"]):
    """Makes merchants."""

    def lock(self, merchant_id: str) -> "Merchant":
        """The merchant, its row locked until the transaction ends. Raises NotFound.

        Memberships and what is done by them change under this lock.
        """
        found: Merchant | None = self.select_for_update(no_key=True).filter(pk=merchant_id).first()
        if found is None:
            raise NotFound
        return found

    @transaction.atomic
    def open(self, name: str, document: str) -> "Merchant":
        """Make a merchant. Raises documents.InvalidDocument; Conflict for one that exists."""
        try:
            with transaction.atomic():
                merchant: Merchant = self.create(name=name, document=normalise_document(document))
        except IntegrityError as error:
            raise Conflict("A merchant with this document exists already") from error
        audit.record(
            audit.Kind.MERCHANT_CREATED,
            object_id=merchant.id,
            merchant_id=merchant.id,
            after={"name": name, "document": merchant.masked_document},
        )
        return merchant


class Merchant(models.Model):
    """A business that the gateway serves."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_merchant_id, editable=False
    )
    name = NameField()
    document = models.CharField(
        max_length=documents.CNPJ_LENGTH, unique=True, validators=[validate_document]
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    require_mfa = models.BooleanField(
        "second factor required",
        default=False,
        db_default=False,  # a version without it goes on adding rows while this one is deployed
        editable=False,
        help_text="A member without a second factor holds nothing here.",
    )

    objects = MerchantManager()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=["status", "-id"], name="merchant_by_status"),)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(Exact(Length("document"), documents.CPF_LENGTH))
                | models.Q(Exact(Length("document"), documents.CNPJ_LENGTH)),
                name="merchant_document_is_cpf_or_cnpj",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["active", "suspended"]),
                name="merchant_status_is_known",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Normalise the document."""
        self.document = clean_document(self.document)

    @property
    def masked_document(self) -> str:
        """The document as far as it may be shown."""
        return documents.mask(self.document)

    @property
    def is_suspended(self) -> bool:
        """Whether its keys and members are refused."""
        return self.status == self.Status.SUSPENDED

    @transaction.atomic
    def rename(self, name: str) -> None:
        """Change the name alone."""
        before = Merchant.objects.select_for_update().values_list("name", flat=True).get(pk=self.pk)
        self.name = name
        if before == name:
            return
        self.save(update_fields=["name"])
        audit.record(
            audit.Kind.MERCHANT_CHANGED,
            object_id=self.id,
            merchant_id=self.id,
            before={"name": before},
            after={"name": name},
        )

    def suspend(self) -> None:
        """Refuse its keys and members from the next request on."""
        self._change_status(self.Status.SUSPENDED, audit.Kind.MERCHANT_SUSPENDED)

    def resume(self) -> None:
        """Undo a suspension."""
        self._change_status(self.Status.ACTIVE, audit.Kind.MERCHANT_RESUMED)

    @transaction.atomic
    def set_require_mfa(self, required: bool) -> None:
        """Whether members need a second factor here. Requiring it ends their sessions without."""
        others = Merchant.objects.filter(pk=self.pk).exclude(require_mfa=required)
        if others.update(require_mfa=required):
            audit.record(
                audit.Kind.MERCHANT_CHANGED,
                object_id=self.id,
                merchant_id=self.id,
                before={"require_mfa": not required},
                after={"require_mfa": required},
            )
            merchant_changed.send(Merchant, merchant_id=self.id)
            if required:
                second_factor_required.send(Merchant, merchant_id=self.id)
        self.require_mfa = required

    @transaction.atomic
    def _change_status(self, status: str, kind: audit.Kind) -> None:
        others = Merchant.objects.filter(pk=self.pk).exclude(status=status)
        if others.update(status=status):
            audit.record(
                kind,
                object_id=self.id,
                merchant_id=self.id,
                before={"status": self.status},
                after={"status": status},
            )
            merchant_changed.send(Merchant, merchant_id=self.id)
        self.status = status


def require(principal: Principal, permission: Permission, merchant_id: str) -> None:
    """Judge a permission at the merchant that owns the object.

    Raises NotFound where the merchant is none of the principal's, as if it did not exist, and
    Forbidden naming the permission where it is not held there.
    """
    if not principal.belongs_to(merchant_id) or not ids.is_valid(ids.Prefix.MERCHANT, merchant_id):
        raise NotFound
    if principal.is_superuser:
        if not Merchant.objects.filter(pk=merchant_id).exists():
            raise NotFound
    elif not principal.holds(permission, merchant_id):
        raise Forbidden(permission, merchant_id)


def only_merchant(principal: Principal, merchant_id: str | None) -> str:
    """The merchant meant by a call: the one named, or the caller's only one.

    Raises ValidationFailed where none is named and the caller has not exactly one.
    """
    if merchant_id is not None:
        return merchant_id
    if principal.is_superuser or len(principal.grants) != 1:
        raise ValidationFailed({"merchant_id": ["Required: you act for several merchants."]})
    return principal.grants[0].merchant_id


def forbid_granting_beyond(
    principal: Principal, merchant_id: str, permissions: Sequence[str]
) -> None:
    """Raises Forbidden, naming the first of these permissions that the principal lacks there."""
    missing = principal.first_missing(permissions, merchant_id)
    if missing is not None:
        raise Forbidden(missing, merchant_id)
