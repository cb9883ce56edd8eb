"""Make the demo, and tell a newcomer how to use it."""

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authn import demo
from fluxiq import commands


class Command(commands.Command):
    """`seed_demo [--history]`."""

    help = "Make a demo merchant with people, accounts and a key. Safe to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--history",
            action="store_true",
            help="Also a second merchant and a month of use, for the staff console to show.",
        )

    def perform(self, *, history: bool, **options: Any) -> demo.Demo:
        try:
            return demo.seed(history=history)
        except demo.DemoRefused as error:
            raise CommandError(str(error)) from error

    def document(self, result: demo.Demo) -> dict[str, Any]:
        return {
            "merchant_id": result.merchant.id,
            "users": [
                {"document": p.document, "password": result.password_of(p), "role": p.role}
                for p in demo.PEOPLE
            ],
            "key": result.key,
        }

    def tell(self, result: demo.Demo, **options: Any) -> None:
        url = f"http://127.0.0.1:{os.environ.get('PORT') or '8000'}"
        owner = demo.PEOPLE[0]
        people = [
            (p.role or "superuser", p.document, result.password_of(p) or "(changed since)")
            for p in (*demo.PEOPLE, demo.STAFF)
        ]
        self.stdout.write(
            _TEXT.format(
                merchant=result.merchant,
                people=commands.table(("ROLE", "DOCUMENT", "PASSWORD"), people),
                url=url,
                document=owner.document,
                password=owner.password,
                about_key=_about_key(result),
                key=result.key or "$KEY",
            )
        )


_TEXT = """
The demo merchant is {merchant}. Its people, and the platform's superuser:

{people}

Sign in:

curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' \\
  -d '{{"document": "{document}", "password": "{password}"}}'

{about_key}

curl -s {url}/api/v1/accounts -H "Authorization: Bearer {key}"

The staff console, for the superuser: {url}/admin/
The API's documentation, to try it:   {url}/api/v1/docs
"""


def _about_key(result: demo.Demo) -> str:
    if result.key is not None:
        return f"List the accounts with the API key, which is shown this once:\n\n{result.key}"
    permissions = " ".join(demo.KEY_PERMISSIONS)
    return (
        f'The API key "{demo.KEY_NAME}" was shown when it was made. Issue another, and list the'
        f" accounts with it:\n\nKEY=$({_python()} manage.py issue_api_key {result.merchant.id}"
        f' --name "Another key" \\\n  --permission {permissions})'
    )


def _python() -> str:
    """The interpreter in hand, as a shell in the project's directory would name it."""
    running = Path(sys.executable)
    if running.is_relative_to(settings.BASE_DIR):
        return str(running.relative_to(settings.BASE_DIR))
    return "python"
