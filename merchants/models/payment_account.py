"""The payment accounts of a merchant: what `/api/v1/accounts` serves."""

import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils import timezone

from fluxiq import database, ids
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict
from fluxiq.names import NameField
from merchants.models.merchant import Merchant, TenantQuerySet


class PaymentAccountQuerySet(TenantQuerySet["PaymentAccount"]):
    """Payment accounts, as their merchant's tenants see them."""


_PaymentAccountManager = models.Manager.from_queryset(PaymentAccountQuerySet)


class PaymentAccountManager(_PaymentAccountManager["PaymentAccount"]):
    """Opens accounts."""

    def newest_shown(self, merchant_ids: list[str], count: int) -> list[dict[str, Any]] | None:
        """The newest accounts of these merchants, as AccountSerializer shows them.

        The hottest read of all, and so in plain SQL on PostgreSQL, at a third of what the ORM and
        the serializer cost; None on other databases, which are asked through the ORM.
        """
        if not database.speaks_postgresql():
            return None
        rows = database.rows_of(_NEWEST, [merchant_ids, count])
        return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]

    _ATTEMPTS = 5  # a number drawn twice among 10^8 of a branch is rare; five times is a fault

    def open(self, merchant: Merchant, name: str) -> "PaymentAccount":
        """Open an account with a number of its own. Raises IntegrityError if none was free."""
        for attempt in range(1, self._ATTEMPTS + 1):
            try:
                with transaction.atomic():
                    account: PaymentAccount = self.create(
                        merchant=merchant, name=name, number=new_account_number()
                    )
                    audit.record(
                        audit.Kind.ACCOUNT_OPENED,
                        object_id=account.id,
                        merchant_id=merchant.id,
                        after={"name": name},
                    )
            except IntegrityError:
                if attempt == self._ATTEMPTS:
                    raise
            else:
                return account
        raise AssertionError("unreachable")


# In the order in which an account is shown, and as it is written there.
_SHOWN = {
    "id": "id",
    "merchant_id": "merchant_id",
    "name": "name",
    "branch": "branch",
    "number": "number",
    "currency": "currency",
    "balance": "balance::text",
    "status": "status",
    "created_at": """to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')""",
}
_COLUMNS = tuple(_SHOWN)
_NEWEST = (
    f"SELECT {', '.join(_SHOWN.values())}"  # noqa: S608 - constants alone
    " FROM merchants_paymentaccount WHERE merchant_id = ANY(%s) ORDER BY id DESC LIMIT %s"
)


def new_account_number() -> str:
    """Eight random digits and a check digit (modulo 11, as Brazilian banks write them)."""
    digits = f"{secrets.randbelow(10**8):08d}"
    total = sum(int(d) * weight for d, weight in zip(digits, range(9, 1, -1), strict=True))
    return f"{digits}-{'0123456789X'[total % 11]}"


class PaymentAccount(models.Model):
    """An account that a merchant holds. The balance belongs to the core ledger: read-only here."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        BLOCKED = "blocked"
        CLOSED = "closed"

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_account_id, editable=False
    )
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="accounts")
    name = NameField()
    branch = models.CharField(max_length=4, default="0001", editable=False)
    number = models.CharField(max_length=10, editable=False)
    currency = models.CharField(max_length=3, default="BRL", editable=False)
    balance = models.DecimalField(
        max_digits=18, decimal_places=2, default=Decimal("0.00"), editable=False
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = PaymentAccountManager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["merchant", "-id"], name="account_by_merchant"),
            models.Index(fields=["status", "-id"], name="account_by_status"),
            models.Index(fields=["number"], name="account_by_number"),
        )
        constraints = (
            models.UniqueConstraint(fields=["branch", "number"], name="account_number_is_unique"),
            models.CheckConstraint(
                condition=models.Q(status__in=["active", "blocked", "closed"]),
                name="account_status_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(currency="BRL"), name="account_currency_is_brl"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.branch}/{self.number}"

    @transaction.atomic
    def change(self, changes: Mapping[str, Any]) -> None:
        """Change name or status. Raises Conflict for opening one again that is closed."""
        current = PaymentAccount.objects.select_for_update().get(pk=self.pk)
        if current.status == self.Status.CLOSED and changes.get("status", "closed") != "closed":
            raise Conflict("A closed account cannot be opened again")
        before = {k: getattr(current, k) for k, v in changes.items() if getattr(current, k) != v}
        if before:
            PaymentAccount.objects.filter(pk=self.pk).update(**{k: changes[k] for k in before})
            audit.record(
                audit.Kind.ACCOUNT_CHANGED,
                object_id=self.id,
                merchant_id=self.merchant_id,
                before=before,
                after={k: changes[k] for k in before},
            )
        self.refresh_from_db()
