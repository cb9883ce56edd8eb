"""The base of every management command: one JSON document with `--json`, one line on error.

Source: contract, section 8. It imports no app.
"""

import json
import os
import pwd
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.base import handle_default_options as apply_default_options
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.models import Model, QuerySet
from rest_framework.exceptions import APIException
from rest_framework.serializers import BaseSerializer
from tqdm import tqdm

from fluxiq import ids
from fluxiq.error_handlers import from_exception
from fluxiq.origin import Origin, working_as

USAGE_ERROR = 2  # the exit code of arguments that cannot be understood; 1 is any other failure
INTERRUPTED = 130  # as shells tell it: 128 and the number of SIGINT
BROKEN_PIPE = 141  # and of SIGPIPE

_MAX_ACTOR = 64
_DURATION = re.compile(r"([0-9]{1,9})([dhms])")
_NO_TABLE = re.compile(r"no such (table|column)|(relation|column) \"?\S+ does not exist")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_MAX_DURATION = timedelta(days=36_500)  # a century; dates far beyond overflow

Row = TypeVar("Row", bound=Model)


class Command(BaseCommand):
    """A command that parses, calls one rule, and tells what came of it.

    Subclasses define `perform`, which does it, and `tell`, which says to a person what came of
    it. What `perform` refuses by an error of the API, by CommandError, or because the database is
    away, ends in one line on stderr and a non-zero exit.
    """

    # What a deployment may have configured wrongly, and no more: a start has to be quick.
    requires_system_checks = [Tags.security]

    _forced = False  # whether colour was asked for, terminal or not

    def perform(self, *args: Any, **options: Any) -> Any:
        """Do the work with these options, and return its result."""
        raise NotImplementedError

    def tell(self, result: Any, **options: Any) -> None:
        """Say the result of `perform` in words."""
        raise NotImplementedError

    def document(self, result: Any) -> Any:
        """The result of `perform` as `--json` prints it; as it is, unless it is no JSON."""
        return result

    def failure(self, result: Any) -> CommandError | None:
        """What to end with once the result is told, where the result itself is bad news."""
        return None

    def tint(self, text: str, tone: str) -> str:
        """The text in that tone of Django's palette (SUCCESS, WARNING, …), on a terminal alone."""
        if not self.stdout.isatty() and not self._forced:
            return text
        styled: str = getattr(self.style, tone)(text)
        return styled

    def write_table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table on stdout, its headings marked on a terminal."""
        first, *rest = table(headings, rows).splitlines()
        self.stdout.write("\n".join((self.tint(first, "MIGRATE_HEADING"), *rest)))

    def confirm(self, question: str, *, yes: bool, in_scripts: bool = False) -> None:
        """Ask before what cannot be undone, unless `--yes` was given.

        Where nobody can be asked it goes on if `in_scripts`, and else raises CommandError, as it
        does where the answer is no.
        """
        if yes or (in_scripts and not _somebody_is_there()):
            return
        if not _somebody_is_there():
            raise CommandError(
                "this cannot be undone, and there is no terminal to ask at: add --yes",
                returncode=USAGE_ERROR,
            )
        self.stderr.write(f"{question} [y/N] ", style_func=str, ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("nothing was done")

    def note(self, text: str) -> None:
        """Explain something to a person: on stderr, so that stdout holds results alone."""
        self.stderr.write(text, style_func=str)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, allow_abbrev=False, **kwargs)
        # It raises CommandError then, also on the command line, in place of a screen of usage.
        parser.called_from_command_line = False
        parser.add_argument(
            "--json", action="store_true", help="Print one JSON document and nothing else."
        )
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        self._forced = bool(options["force_color"])
        try:
            with working_as(Origin(actor_kind="command", actor_id=_operating_user())):
                result = self.perform(**options)
        except (APIException, DatabaseError, InterfaceError) as error:
            raise CommandError(_explain(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError("interrupted", returncode=INTERRUPTED) from error
        if options["json"]:
            self.stdout.write(json.dumps(self.document(result)))
        else:
            self.tell(result, **options)
        if (failure := self.failure(result)) is not None:
            raise failure

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django's, but whatever is refused, the arguments too, is refused in one line."""
        parser = self.create_parser(argv[0], argv[1])
        try:
            options = parser.parse_args(argv[2:])
        except CommandError as error:
            self._exit(argv[1], str(error).removeprefix("Error: "), USAGE_ERROR)
        if os.environ.get("NO_COLOR") and not options.force_color:  # no-color.org
            options.no_color = True
        apply_default_options(options)
        # One thread, soon gone, needs no pool; and without it a database that is away says so at
        # once, where a pool would only tell that its time ran out.
        for connection in connections.all():
            connection.settings_dict["OPTIONS"].pop("pool", None)
        try:
            self.execute(**vars(options))
        except CommandError as error:
            if options.traceback:
                raise
            self._exit(argv[1], str(error), error.returncode)
        except BrokenPipeError:  # whoever read has what they wanted, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        finally:
            connections.close_all()

    def _exit(self, name: str, reason: str, code: int) -> NoReturn:
        self.stderr.write(f"{name}: {one_line(reason)}")
        sys.exit(code)


def ask_first(parser: CommandParser) -> None:
    """Give the command the option that answers `Command.confirm` beforehand."""
    parser.add_argument("--yes", action="store_true", help="Do not ask; for scripts.")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _operating_user() -> str:
    """The name of the user whom the process runs as; its number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name[:_MAX_ACTOR]
    except KeyError:  # a container may run as anybody
        return str(os.getuid())


def _explain(error: Exception) -> str:
    """Why it was refused, in words for whoever typed the command."""
    match error:
        case OperationalError() | InterfaceError():
            return f"the database cannot be used: {error}{_next_step(error)}"
        case DatabaseError():
            first = str(error).partition(os.linesep)[0]
            return f"the database refused: {first}{_next_step(error)}"
    known = from_exception(error, None)
    if known is None:
        return str(error)
    details = known.extra.get("details")
    if isinstance(details, Mapping):
        return "; ".join(f"{field}: {' '.join(texts)}" for field, texts in details.items())
    return known.message


def _next_step(error: Exception) -> str:
    """What to do about it, where that can be told from what the database said."""
    if _NO_TABLE.search(str(error)) is not None:
        return " (run: python manage.py migrate)"
    return " (python manage.py doctor looks for the cause)"


def one_line(text: str) -> str:
    """The text on one line, without what would move a terminal's cursor."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split())
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as what stands in them."""
    lines = [list(headings), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
    """A bar on stderr, where that is a terminal, for a block of long work.

    Gives what the work calls with how many of `total` (None: of who knows how many) are done.
    """
    with tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=None, leave=False) as bar:
        yield lambda done: bar.update(done - bar.n)


def duration(text: str, *, may_be_zero: bool = False) -> timedelta:
    """The time that `90d`, `24h`, `30m` or `45s` says. Raises CommandError for anything else."""
    if may_be_zero and text == "0":
        return timedelta()
    match = _DURATION.fullmatch(text)
    if match is None:
        raise CommandError(f"{text!r} is no duration, such as 90d, 24h, 30m or 45s")
    found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not found and not may_be_zero:
        raise CommandError(f"a duration of {text} is none; it has to be more than 0")
    if found > _MAX_DURATION:
        raise CommandError(f"a duration of {text} is too long; at most {_MAX_DURATION.days}d")
    return found


def read(serializer: type[BaseSerializer[Any]], **values: Any) -> dict[str, Any]:
    """The options, judged as the body of a request; None stands for one not given.

    Raises DRF's ValidationError.
    """
    given = {name: value for name, value in values.items() if value is not None}
    bound = serializer(data=given)
    bound.is_valid(raise_exception=True)
    return dict(bound.validated_data)


def find(rows: "QuerySet[Row]", prefix: ids.Prefix, object_id: str) -> "Row":
    """The row of that id. Raises CommandError where there is none."""
    found = rows.filter(pk=object_id).first() if ids.is_valid(prefix, object_id) else None
    if found is None:
        raise CommandError(f"there is no {rows.model._meta.verbose_name} {object_id!r}")
    return found
