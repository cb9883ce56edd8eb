"""What the process backstage can do: functions that take and return JSON values."""

import itertools
import secrets
from dataclasses import asdict
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts.models import User
from authn import passwords, sessions
from authn.mfa import factors
from authn.models import ApiKey, Session
from fluxiq.scopes import Role
from merchants.models import Membership, Merchant

_documents = itertools.count(20_000_000_000)


def member(
    role: str = Role.MANAGER, password: str | None = None, merchant_id: str | None = None
) -> dict[str, Any]:
    """A new user with that role at a new merchant, signed in: ids and tokens.

    With that password, or one that nobody can give; at that merchant, where it is named.
    """
    if merchant_id is None:
        merchant = Merchant.objects.open("Trial", f"{next(_documents)}")
    else:
        merchant = Merchant.objects.get(pk=merchant_id)
    user = User(document=f"{next(_documents)}", name="Trial")
    user.set_password(password)
    User.objects.register(user)
    membership = Membership.objects.add(merchant, user, role)
    return {
        "user": user.id,
        "document": user.document,
        "merchant": merchant.id,
        "membership": membership.id,
        **asdict(sessions.start(user)),
    }


def superuser() -> dict[str, Any]:
    """A new superuser, signed in."""
    user = User(document=f"{next(_documents)}", name="Root", is_superuser=True, is_staff=True)
    user.set_unusable_password()
    User.objects.register(user)
    return {"user": user.id, **asdict(sessions.start(user))}


def api_key(**fields: Any) -> dict[str, Any]:
    """A new key of a new merchant: ids and the secret."""
    merchant = Merchant.objects.open("Trial", f"{next(_documents)}")
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


def people(count: int, active: bool) -> list[str]:
    """The documents of so many new users, who share one password that nobody is told."""
    hashed = make_password(secrets.token_urlsafe(16))
    users = [
        User(document=f"{next(_documents)}", name="One of many", password=hashed, is_active=active)
        for _ in range(count)
    ]
    return [user.document for user in User.objects.bulk_create(users)]
