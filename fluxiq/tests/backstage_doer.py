"""What the process backstage can do: functions that take and return JSON values."""

import contextlib
import io
import itertools
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import User
from authn import passwords, recovery, sessions
from authn.mfa import factors, totp
from authn.models import ApiKey, MfaChallenge, Session, TotpFactor
from fluxiq.audit import models as audit
from fluxiq.audit import sealing, verification
from fluxiq.principals import Kind, Principal
from fluxiq.scopes import Role
from merchants.models import Membership, Merchant, PaymentAccount

_documents = itertools.count(20_000_000_000)


def manage(arguments: list[str], stdin: str | None) -> str:
    """What that management command prints, given that standard input."""
    printed, given = io.StringIO(), io.StringIO(stdin)
    with mock.patch("sys.stdin", given), contextlib.redirect_stdout(printed):
        call_command(*arguments)
    return printed.getvalue()


def member(
    role: str = Role.MANAGER, password: str | None = None, merchant_id: str | None = None
) -> dict[str, Any]:
    """A new user with that role at a new merchant, signed in: ids and tokens.

    With that password, or one that nobody can give; at that merchant, where it is named.
    """
    merchant = _merchant(merchant_id)
    user = User(document=f"{next(_documents)}", name="Trial")
    user.set_password(password)
    membership = Membership.objects.add_with_new_user(merchant, user, role)
    return {
        "user": user.id,
        "document": user.document,
        "merchant": merchant.id,
        "membership": membership.id,
        **asdict(sessions.start(user)),
    }


def sign_in(user: str) -> dict[str, Any]:
    """Another session of a user's: its tokens."""
    return asdict(sessions.start(User.objects.get(pk=user)))


def _merchant(merchant_id: str | None) -> Merchant:
    """That merchant, or a new one where none is named."""
    if merchant_id is not None:
        return Merchant.objects.get(pk=merchant_id)
    return Merchant.objects.open("Trial", f"{next(_documents)}")


def account(merchant_id: str) -> str:
    """A new payment account of that merchant: its id."""
    return PaymentAccount.objects.open(Merchant.objects.get(pk=merchant_id), "Trial").id


def invitation(merchant_id: str) -> dict[str, Any]:
    """A new invitation to that merchant: what it takes to accept it, but for a password."""
    document = f"{next(_documents)}"
    staff = Principal(Kind.USER, "usr_staff", "Staff", is_superuser=True)
    merchant = Merchant.objects.get(pk=merchant_id)
    _, secret = Membership.objects.invite(
        staff, merchant, document=document, name="Trial", role=Role.OPERATOR
    )
    return {"invitation": secret, "document": document}


def reset_token(user: str) -> str:
    """A token that resets that user's password."""
    return recovery.make_token(User.objects.get(pk=user))


def challenge(user: str) -> dict[str, str]:
    """A challenge of that user's sign-in, and a code that meets it, of a new second factor."""
    enrolment = factors.enrol_without_one(user)
    codes = factors.confirm(user, totp.code_at(enrolment.secret, timezone.now()))
    return {"challenge": MfaChallenge.objects.issue(User.objects.get(pk=user)), "code": codes[0]}


def keys_under(pepper: str) -> list[str]:
    """The ids of the live keys under that pepper."""
    return list(ApiKey.objects.live().filter(pepper_id=pepper).values_list("pk", flat=True))


def forget_codes(user: str) -> None:
    """Have the codes of that user's authenticator app serve again that served already."""
    TotpFactor.objects.filter(user_id=user).update(last_step=0)


def superuser() -> dict[str, Any]:
    """A new superuser, signed in."""
    user = User(document=f"{next(_documents)}", name="Root", is_superuser=True, is_staff=True)
    user.set_unusable_password()
    User.objects.register(user)
    return {"user": user.id, **asdict(sessions.start(user))}


def api_key(merchant_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """A new key: ids and the secret. Of that merchant, or of a new one."""
    merchant = _merchant(merchant_id)
    key, secret = ApiKey.objects.issue(
        merchant, name="Trial", permissions=["accounts:read", "accounts:write"], **fields
    )
    return {"merchant": merchant.id, "key": key.id, "secret": secret}


def deactivate(user: str) -> None:
    """Shut a user out."""
    User.objects.get(pk=user).deactivate()


def reset_mfa(user: str) -> bool:
    """Reset a lost second factor."""
    return factors.reset(User.objects.get(pk=user))


def reset_password(user: str) -> None:
    """Set a password as a mailed link does."""
    passwords.reset(User.objects.get(pk=user), secrets.token_urlsafe(16))


def suspend(merchant: str) -> None:
    """Suspend a merchant."""
    Merchant.objects.get(pk=merchant).suspend()


def expire(key: str) -> None:
    """Let a key's lifetime end now."""
    ApiKey.objects.get(pk=key).change({"expires_at": timezone.now()})


def session_of(user: str) -> str:
    """The id of a user's one session."""
    return Session.objects.get(user_id=user).id


def people(count: int, active: bool, email: str = "") -> list[str]:
    """The documents of so many new users, who share one password that nobody is told."""
    alike: dict[str, Any] = {
        "name": "One of many",
        "password": make_password(secrets.token_urlsafe(16)),
        "is_active": active,
        "email": email,
    }
    users = [User(document=f"{next(_documents)}", **alike) for _ in range(count)]
    return [user.document for user in User.objects.bulk_create(users)]


def write_events(threads: int, each: int, seals: bool = True) -> int:
    """Write events from so many threads at once, and seal beside them; how many were written."""

    def write(number: int) -> None:
        for event in range(each):
            with transaction.atomic():
                audit.record(audit.Kind.STAFF_ACTION, object_id=f"{number}", after={"n": event})
            if seals and event % 10 == number % 10:
                sealing.seal()
        connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    return threads * each


def verify_trail() -> dict[str, Any]:
    """What a verification of the audit trail tells."""
    return asdict(verification.verify())


def refusals_counted() -> int:
    """How often the trail has it that a permission was refused, told or still counted."""
    kind = audit.Kind.PERMISSION_REFUSED
    counts = [tally.count for tally in audit.Tally.objects.filter(kind=kind)]
    told = [int(event.after["count"]) for event in audit.AuditEvent.objects.filter(kind=kind)]
    return sum(counts) + sum(told)


def write_late(begun: str, until: str) -> str:
    """Write an event in a transaction that ends once a file is there; the event's id.

    That it is written, and not yet committed, the file `begun` tells.
    """
    with transaction.atomic():
        event = audit.record(audit.Kind.STAFF_ACTION, object_id="late")
        Path(begun).touch()
        while not Path(until).exists():
            time.sleep(0.01)
    return event.id
