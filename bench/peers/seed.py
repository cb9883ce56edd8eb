"""Fills the peers' database and prints the credentials as JSON. Run by Django's `shell -c`."""

import json
import sys

from django.contrib.auth import get_user_model
from django.core.management import call_command
from rest_framework_api_key.models import APIKey
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from stock.models import Account

ACCOUNTS = (("Checking", "1520.75"), ("Reserve", "98000.00"))


def main(count, refresh_tokens):
    """So many users with two accounts, a token and a key each, and so many refresh tokens."""
    call_command("migrate", verbosity=0)
    call_command(
        "migrate", verbosity=0, run_syncdb=True
    )  # stock has no migrations, and needs users
    users = [get_user_model().objects.create(username=f"user{n}") for n in range(1, count + 1)]
    for user in users:
        for name, balance in ACCOUNTS:
            Account.objects.create(
                owner=user,
                name=name,
                branch="0001",
                number=f"{user.pk:08d}-0",
                currency="BRL",
                balance=balance,
                status="active",
            )
    made = {
        "tokens": [str(AccessToken.for_user(user)) for user in users],
        "keys": [APIKey.objects.create_key(name=user.username)[1] for user in users],
        "refresh": [
            str(RefreshToken.for_user(users[n % len(users)])) for n in range(refresh_tokens)
        ],
    }
    json.dump(made, sys.stdout)
