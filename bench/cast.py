"""Fills the service's database for a measurement. Run by `manage.py shell -c`; prints JSON."""

import json
import sys

from django.contrib.auth.hashers import make_password
from stdnum.br import cnpj, cpf

from accounts.models import User
from authn import sessions
from authn.models import ApiKey
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
        User.objects.register(user)
        Membership.objects.add(merchant, user, Role.MANAGER)
        users.append(user)
        documents.append(user.document)
        tokens.append(sessions.start(user).access_token)
    more = [sessions.start(users[n % count]).refresh_token for n in range(more_sessions)]
    made = {"keys": keys, "tokens": tokens, "documents": documents, "refresh": more}
    json.dump({**made, "password": PASSWORD}, sys.stdout)


def _cpf(n: int) -> str:
    """A CPF whose check digits are right."""
    body = f"{100_000_000 + n}"
    return next(d for d in (f"{body}{end:02}" for end in range(100)) if cpf.is_valid(d))


def _cnpj(n: int) -> str:
    """A CNPJ whose check digits are right."""
    body = f"{100_000_000_000 + n}"
    return next(d for d in (f"{body}{end:02}" for end in range(100)) if cnpj.is_valid(d))
