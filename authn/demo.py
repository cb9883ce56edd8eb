"""The demo: a merchant with its people, accounts and a key, so that the documented calls work.

Source: contract, section 8. Passwords that everybody knows have no place elsewhere: only the
settings that say DEMO_ALLOWED take it.
"""

from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.db import transaction

from accounts import documents
from accounts.models import User, normalise_document
from authn import demo_history
from authn.models import ApiKey
from fluxiq.scopes import Role, Scope
from merchants.models import Membership, Merchant, PaymentAccount


@dataclass(frozen=True, slots=True)
class Person:
    """One of the demo's people. Without a role: platform staff."""

    name: str
    document: str
    password: str
    role: Role | None


# But for the owner's, which is the source document's example, their check digits are right.
PEOPLE = (
    Person("Olívia, the owner", "12345678901", "your-password", Role.OWNER),
    Person("Mauro, the manager", "52998224725", "manager-password", Role.MANAGER),
    Person("Otto, the operator", "11144477735", "operator-password", Role.OPERATOR),
)
STAFF = Person("Sofia, of the platform", "39053344705", "superuser-password", None)

MERCHANT_NAME, MERCHANT_DOCUMENT = "Padaria Demo", "11222333000181"
ACCOUNTS = {"Checking": Decimal("1520.75"), "Reserve": Decimal("98000.00")}
KEY_NAME = "Demo key"
KEY_PERMISSIONS = (Scope.ACCOUNTS_READ, Scope.ACCOUNTS_WRITE, Scope.PIX_READ, Scope.PIX_WRITE)


class DemoRefused(Exception):
    """The demo cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo as it stands. `changed` are those who cannot sign in as documented any more;
    `key` is None where the key was there already."""

    merchant: Merchant
    changed: frozenset[Person]
    key: str | None

    def password_of(self, person: Person) -> str | None:
        """The person's documented password, or None where it does not serve any more."""
        return None if person in self.changed else person.password


@transaction.atomic
def seed(*, history: bool = False) -> Demo:
    """Make what is missing of the demo, and change nothing that is there.

    With `history`, also a second merchant and a month of use behind both (authn.demo_history).
    Raises DemoRefused under settings that do not allow it, or that refuse the documents.
    """
    if not getattr(settings, "DEMO_ALLOWED", False):
        raise DemoRefused("the demo has known passwords: these settings do not allow it")
    _check_documents()
    merchant = Merchant.objects.filter(document=MERCHANT_DOCUMENT).first()
    if merchant is None:
        merchant = Merchant.objects.open(MERCHANT_NAME, MERCHANT_DOCUMENT)
        _open_accounts(merchant)
    users = {person: _user(person, merchant) for person in (*PEOPLE, STAFF)}
    if history:
        demo_history.write(merchant, [users[person] for person in PEOPLE], users[STAFF])
    changed = frozenset(p for p, user in users.items() if not _signs_in(user, p.password))
    return Demo(merchant, changed, _issue_key(merchant, users[PEOPLE[0]]))


def _check_documents() -> None:
    for document in (MERCHANT_DOCUMENT, *(person.document for person in (*PEOPLE, STAFF))):
        try:
            normalise_document(document)
        except documents.InvalidDocument as error:
            raise DemoRefused(
                f"the demo's document {document} is not taken here: {error}"
                " (VERIFY_DOCUMENT_CHECK_DIGITS is on)"
            ) from error


def _open_accounts(merchant: Merchant) -> None:
    for name, balance in ACCOUNTS.items():
        account = PaymentAccount.objects.open(merchant, name)
        # Balances are the ledger's, which the demo stands in for.
        PaymentAccount.objects.filter(pk=account.pk).update(balance=balance)


def _user(person: Person, merchant: Merchant) -> User:
    """The person's user. A new one becomes a member; one who exists would have to be invited."""
    user = User.objects.for_document(person.document)
    if user is not None:
        return user
    user = User.objects.unsaved(
        person.document, person.password, name=person.name, is_superuser=person.role is None
    )
    if person.role is None:
        User.objects.register(user)
    else:
        Membership.objects.add_with_new_user(merchant, user, person.role)
    return user


def _signs_in(user: User, password: str) -> bool:
    """Whether that password still serves; unlike the model's own method, this writes nothing."""
    return user.is_active and check_password(password, user.password)


def _issue_key(merchant: Merchant, owner: User) -> str | None:
    """The secret of a new key, or None where there is, or was, one."""
    if ApiKey.objects.filter(merchant=merchant, name=KEY_NAME).exists():
        return None
    _, secret = ApiKey.objects.issue(
        merchant, name=KEY_NAME, permissions=KEY_PERMISSIONS, created_by=owner
    )
    return str(secret)
