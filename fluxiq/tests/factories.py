"""Objects for tests, made through the same managers as the product's."""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone
from factory.declarations import Sequence, SubFactory
from factory.django import DjangoModelFactory

from accounts.models import User
from authn.mfa import factors, totp
from authn.models import ApiKey, TotpFactor
from fluxiq.principals import PLATFORM
from fluxiq.scopes import Role, Scope
from merchants.models import Membership, Merchant, PaymentAccount

PASSWORD = "correct horse battery"


class UserFactory(DjangoModelFactory[User]):
    """A person who can sign in with PASSWORD."""

    class Meta:
        model = User

    document = Sequence(lambda n: f"{10_000_000_000 + n}")
    name = Sequence(lambda n: f"Person {n}")
    password = PASSWORD

    @classmethod
    def _build(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return User.objects.unsaved(kwargs.pop("document"), kwargs.pop("password"), **kwargs)

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        user = cls._build(model_class, *args, **kwargs)
        User.objects.register(user)
        return user


class MerchantFactory(DjangoModelFactory[Merchant]):
    """A merchant."""

    class Meta:
        model = Merchant

    name = Sequence(lambda n: f"Merchant {n}")
    document = Sequence(lambda n: f"{10_000_000_000_000 + n}")


class MembershipFactory(DjangoModelFactory[Membership]):
    """A membership in force, by an invitation that was accepted."""

    class Meta:
        model = Membership

    merchant = SubFactory(MerchantFactory)
    user = SubFactory(UserFactory)
    role = Role.OWNER

    @classmethod
    def _create(cls, model_class: type[Membership], *args: Any, **kwargs: Any) -> Membership:
        return join(kwargs["merchant"], kwargs["user"], kwargs["role"])


def new_member(merchant: Merchant, name: str, role: str) -> Membership:
    """A membership in force of a new user of that name, who can sign in with PASSWORD."""
    user: User = UserFactory.build(name=name)
    made: Membership = Membership.objects.add_with_new_user(merchant, user, role)
    return made


def join(merchant: Merchant, user: User, role: str) -> Membership:
    """A membership in force of a user who exists: invited by FluxiQ's staff, and accepted."""
    membership, _ = Membership.objects.invite(
        PLATFORM, merchant, document=user.document, name=user.name, role=role
    )
    membership.accept(user)
    return membership


class PaymentAccountFactory(DjangoModelFactory[PaymentAccount]):
    """An open payment account."""

    class Meta:
        model = PaymentAccount

    merchant = SubFactory(MerchantFactory)
    name = Sequence(lambda n: f"Account {n}")
    number = Sequence(lambda n: f"{n:08d}-0")


def issue_key(merchant: Merchant, *permissions: str, **options: Any) -> tuple[ApiKey, str]:
    """An API key of a merchant, and its secret. Without permissions: `accounts:read`."""
    api_key, secret = ApiKey.objects.issue(
        merchant,
        name=options.pop("name", "A key"),
        permissions=permissions or (Scope.ACCOUNTS_READ,),
        **options,
    )
    return api_key, secret


@dataclass
class Phone:
    """An authenticator app of a user, and the recovery codes that came with it."""

    secret: str
    recovery_codes: Several[str]

    def code(self, steps: int = 0) -> str:
        """What it shows now, or that many time steps from now."""
        return totp.code_at(self.secret, timezone.now() + timedelta(seconds=totp.STEP * steps))

    def wrong_code(self) -> str:
        """Six digits that it shows neither now nor near."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(code for n in range(10) if (code := f"{n}" * totp.DIGITS) not in near)


def enrol(user: User) -> Phone:
    """A second factor for the user, none of whose codes was used yet. Ends their sessions."""
    enrolment = factors.enrol_without_one(user.pk)
    phone = Phone(enrolment.secret, ())
    phone.recovery_codes = factors.confirm(user.pk, phone.code())
    TotpFactor.objects.filter(user=user).update(last_step=0)
    user.refresh_from_db()
    return phone
