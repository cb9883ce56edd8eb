"""Running management commands in tests: in this process, or as a shell would."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.engines import AS_IN_PRODUCTION, PROJECT


class CommandTestCase(ApiTestCase):
    """Runs commands beside the cast, in the database of the tests."""

    def run_command(self, *arguments: str, stdin: str = "") -> tuple[str, str]:
        """What the command printed: (stdout, stderr)."""
        stdout, stderr = io.StringIO(), io.StringIO()
        with mock.patch("sys.stdin", io.StringIO(stdin)):
            call_command(*arguments, stdout=stdout, stderr=stderr)
        return stdout.getvalue(), stderr.getvalue()

    def result(self, *arguments: str, stdin: str = "") -> Any:
        """The one document that the command prints with --json."""
        return json.loads(self.run_command(*arguments, "--json", stdin=stdin)[0])

    def refusal(self, *arguments: str, stdin: str = "") -> str:
        """Why the command refused."""
        with pytest.raises(CommandError) as refused:
            self.run_command(*arguments, stdin=stdin)
        return str(refused.value)


def manage(
    *arguments: str, environment: Mapping[str, str], stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py` in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env={**os.environ, **AS_IN_PRODUCTION, "TEST_REDIS_URL": "", **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
