"""The password that a command is given: typed twice at a terminal, or on standard input."""

import sys
from getpass import getpass

from django.core.management.base import CommandError


def read(*, from_stdin: bool) -> str:
    """The password as it was given. Raises CommandError where there is none."""
    return _piped() if from_stdin else _typed()


def _piped() -> str:
    """Standard input to its end, less one final newline. Raises CommandError."""
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise CommandError("the password on standard input is not UTF-8") from error


def _typed() -> str:
    """The password as typed twice at the terminal. Raises CommandError."""
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask for the password at: use --password-stdin")
    try:
        first, second = getpass("Password: "), getpass("Password (again): ")
    except EOFError as error:
        raise CommandError("no password was typed") from error
    if first != second:
        raise CommandError("the two passwords differ")
    return first
