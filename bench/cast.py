"""Fills the service's database for a measurement. Run by `manage.py shell -c`; prints JSON."""

import json
import sys
import time
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from stdnum.br import cnpj, cpf

from accounts.models import User
from authn import sessions
from authn.models import ApiKey
from authn.peppers import peppers
from authn.usage import Outcome, flush
from fluxiq import counters
from fluxiq.audit import models as audit
from fluxiq.audit import sealing
from fluxiq.scopes import Role, Scope
from merchants.models import Membership, Merchant, PaymentAccount

PASSWORD = "a password of many"  # noqa: S105 - of an invented cast
PERMISSIONS = (Scope.ACCOUNTS_READ, Scope.ACCOUNTS_WRITE, Scope.PIX_READ, Scope.PIX_WRITE)
ACCOUNTS = ("Checking", "Reserve")


def people(count: int, *, first: int = 0, more_sessions: int = 0) -> None:
    """So many merchants with two accounts, a key, and a manager who is signed in.

    `more_sessions` are shared out among the managers; documents count up from `first`.
    """
    password = make_password(PASSWORD)
    keys, tokens, documents, users = [], [], [], []
    for n in range(first, first + count):
        merchant = Merchant.objects.open(f"Merchant {n}", _cnpj(n))
        for name in ACCOUNTS:
            PaymentAccount.objects.open(merchant, name)
        keys.append(ApiKey.objects.issue(merchant, name="The server's", permissions=PERMISSIONS)[1])
        user = User(document=_cpf(n), name=f"Person {n}", password=password)
        Membership.objects.add_with_new_user(merchant, user, Role.MANAGER)
        users.append(user)
        documents.append(user.document)
        tokens.append(sessions.start(user).access_token)
    more = [sessions.start(users[n % count]).refresh_token for n in range(more_sessions)]
    made = {"keys": keys, "tokens": tokens, "documents": documents, "refresh": more}
    json.dump({**made, "password": PASSWORD}, sys.stdout)


def staff() -> None:
    """A superuser who is signed in to the console: the cookie of the session."""
    user = User.objects.create_superuser(_cpf(800_000), PASSWORD, name="Staff")
    client = Client()
    client.force_login(user)
    morsel = client.cookies[settings.SESSION_COOKIE_NAME]
    json.dump(f"{morsel.key}={morsel.value}", sys.stdout)


def used(count: int) -> None:
    """So many keys, used once each. Prints how many."""
    merchant = Merchant.objects.open("Used", _cnpj(900_000))
    keys = [
        ApiKey(
            merchant=merchant,
            name="Used",
            digest=sha256(b"used %d" % n).digest(),
            pepper_id=peppers()[0].id,
            hint="sk_live_…",
        )
        for n in range(count)
    ]
    ApiKey.objects.bulk_create(keys, batch_size=1000)
    at = time.time_ns() // 1000
    hour = at // (60 * 60 * 1_000_000)
    for key in keys:
        name, owner = f"{hour} {key.id} {Outcome.ADMITTED}", bytes(key.digest).hex()
        counters.of_requests().tally(name, owner=owner, at=at, note="192.0.2.1")
    json.dump(count, sys.stdout)


def move_uses() -> None:
    """Move what is tallied to the database: the seconds that it takes, and the rows."""
    began = time.perf_counter()
    moved = flush()
    json.dump({"seconds": time.perf_counter() - began, "rows": moved.rows}, sys.stdout)


def events(count: int) -> None:
    """So many events of the trail, in transactions of their own: the seconds that sealing takes."""
    for n in range(count):
        audit.record(audit.Kind.STAFF_ACTION, object_id=f"{n}")
    began = time.perf_counter()
    sealed = sealing.seal()
    json.dump({"seconds": time.perf_counter() - began, "sealed": sealed}, sys.stdout)


def _cpf(n: int) -> str:
    """A CPF whose check digits are right."""
    body = f"{100_000_000 + n}"
    return next(d for d in (f"{body}{end:02}" for end in range(100)) if cpf.is_valid(d))


def _cnpj(n: int) -> str:
    """A CNPJ whose check digits are right."""
    body = f"{100_000_000_000 + n}"
    return next(d for d in (f"{body}{end:02}" for end in range(100)) if cnpj.is_valid(d))
