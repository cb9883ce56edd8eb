"""No usable secret stands anywhere: each that the service makes or takes is looked for.

In every table, in the counters' files and Valkey, in the logs of both formats, in the trail, the
metrics, mail apart, and in every answer but the one that is documented to tell it.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.core import signing
from psycopg import sql

from fluxiq.logs import CONSOLE, JSON
from fluxiq.tests.backstage import Backstage
from fluxiq.tests.canaries import (
    DOCUMENTS,
    MAIL,
    MAILBOX,
    OWNER,
    OWNER_NAME,
    Walk,
    decoded,
    needles,
    operations,
    walk_api,
)
from fluxiq.tests.canaries_console import STAFF, walk_console
from fluxiq.tests.canaries_misused import misuse, send_no_requests
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, SECRETS, SERVERS, Service, run, serving

pytestmark = pytest.mark.engine

METRICS_TOKEN = "canary-token-of-the-metrics"
ENVIRONMENT = {
    **NO_LIMITS,
    "METRICS_TOKEN": METRICS_TOKEN,
    "MFA_REQUIRED_FOR_STAFF": "on",
    "REFRESH_REUSE_SECONDS": "0",  # within them a refresh token is documented to tell its successor
    "LOG_REQUESTS": "on",
}
# What the service is started with.
RINGS = ("SECRET_KEY", "JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "AUDIT_KEYS", "MFA_KEYS")
# A secret as commands print it, by itself or as an entry of a ring; mail may be printed around it.
MADE = re.compile(r"(?m)sk_live_[0-9A-Za-z]{38}|(?<=:)[\w+/=-]{40,}$")

# The commands that make or take a secret are walked; these do neither.
WITHOUT_SECRETS = {
    *("doctor", "end_sessions", "export_audit_log", "flush_usage", "list_api_keys"),
    *("make_collection", "migrate", "prune_audit_log", "purge_expired", "replay_audit_log"),
    *("reset_mfa", "reset_mfa_under", "revoke_api_key", "revoke_api_keys", "seal_audit_log"),
    "verify_audit_log",
}


class Commands:
    """Management commands run beside the service: what each printed on stderr is noted."""

    def __init__(self, walk: Walk, process: Backstage, stderr: Path) -> None:
        self._walk, self._process, self._stderr = walk, process, stderr
        self.used: set[str] = set()

    def run(self, name: str, *arguments: str, stdin: str = "") -> str:
        """What the command printed on stdout, where a secret that it makes is documented to be."""
        self.used.add(name)
        return run(self._process, name, *arguments, stdin=stdin)

    @property
    def complaints(self) -> str:
        """What all of them printed on stderr, but for mail."""
        return MAIL.sub("", self._stderr.read_text())

    def make(self, what: str, name: str, *arguments: str) -> str:
        """Run a command that makes a secret, and keep it."""
        (secret,) = MADE.findall(self.run(name, *arguments))
        return self._walk.keep(what, secret)

    def people(self) -> tuple[str, dict[str, str]]:
        """A merchant, and its owner and a member of staff with passwords of their own."""
        made = self.run("create_merchant", "Canaries", "--document", "45723174000110", "--json")
        merchant = str(json.loads(made)["id"])
        member = ("--merchant", merchant, "--role", "owner", "--email", "o@x.example")
        people = {}
        for who, what, document, options in (
            ("owner", "password", OWNER, member),
            ("staff", "password of the staff", STAFF, ("--superuser", "--staff")),
        ):
            password = self._walk.keep(what, f"canary password of the {who}")
            arguments = (document, "--name", OWNER_NAME, *options, "--password-stdin", "--json")
            people[who] = json.loads(self.run("create_user", *arguments, stdin=password))["id"]
        return merchant, people

    def walk(self, merchant: str) -> None:
        """Run each command that makes or takes a secret."""
        permission = ("--name", "Command", "--permission", "pix:read")
        issued = self.make("API key of a command", "issue_api_key", merchant, *permission)
        service_key = ("issue_api_key", "--service", "--name", "Service")
        self.make("service key", *service_key)
        (key,) = (
            row["id"]
            for row in json.loads(self.run("list_api_keys", "--merchant", merchant, "--json"))
            if row["name"] == "Command"
        )
        self.make("API key rotated by a command", "rotate_api_key", key)
        place = ("--merchant", merchant, "--role", "operator", "--json")
        invited = json.loads(self.run("create_user", STAFF, *place))
        self._walk.keep("invitation of a command", invited["invitation"])
        arguments = (OWNER, "--reason", "Canary", "--yes", "--json")
        link = json.loads(self.run("reclaim_document", *arguments))["reset_link"]
        self._walk.keep("reset token of a command", link.partition("#")[2])
        given = self._walk.keep("password of a command", "canary password of a command")
        self.run("changepassword", OWNER, "--password-stdin", "--json", stdin=given)
        assert issued not in self.run("check_api_key", "--lookup", stdin=issued)
        self.run("seed_demo", "--json")
        for name in ("make_pepper", "make_mfa_key", "make_audit_key", "make_signing_key"):
            self.make(f"secret of {name}", name)
        self.make("signing key of ES256", "make_signing_key", "--algorithm", "ES256")


def tables(service: Service) -> Iterator[tuple[str, str]]:
    """Every table of the service's database, as text."""
    url = service.environment["DATABASE_URL"]
    if url.startswith("sqlite"):
        with sqlite3.connect(urlsplit(url).path) as embedded:
            names = embedded.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            for (name,) in names:
                yield name, _rows(embedded.execute(f'SELECT * FROM "{name}"').fetchall())
        return
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in found:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))
            yield name, _rows(connection.execute(query).fetchall())


def _rows(rows: list[tuple[object, ...]]) -> str:
    return "\n".join(decoded(value) for row in rows for value in row)


def console_sessions(dump: str) -> str:
    """What the console's sessions hold, which their table has compressed."""
    salt = "django.contrib.sessions.SessionStore"
    packed = re.findall(r"(?m)^\.?[\w-]{20,}:\w+:[\w-]{20,}$", dump)
    assert packed, "no session of the console is there"
    return "\n".join(
        str(signing.loads(each, key=SECRETS["SECRET_KEY"], salt=salt)) for each in packed
    )


def counted(service: Service) -> Iterator[tuple[str, str]]:
    """What the counters hold: the files of this machine, and the server's keys and values."""
    for path in Path(service.environment["COUNTERS_PATH"]).parent.rglob("*"):
        if path.is_file():
            yield str(path), decoded(path.read_bytes())
    if service.environment["REDIS_URL"]:
        server = redis.Redis.from_url(service.environment["REDIS_URL"])
        for key in server.scan_iter():
            value = server.hgetall(key) if server.type(key) == b"hash" else server.get(key)
            yield f"counter {key!r}", repr((key, value))


def places(walk: Walk, commands: Commands) -> dict[str, str]:
    """Everything that is kept, by what it is."""
    service = walk.service
    dumped = dict(tables(service))
    metrics = service.call("GET", "/metrics", METRICS_TOKEN)
    assert b"# TYPE" in metrics.content
    walk.note("GET /metrics", metrics)
    return {
        **dumped,
        "sessions of the console": console_sessions(dumped["django_session"]),
        **dict(counted(service)),
        # Mail is printed on a local run, between the lines of the log.
        "the log": MAIL.sub("", service.gunicorn.log()),
        "what commands printed on stderr": commands.complaints,
    }


def finds(walk: Walk, searched: dict[str, str]) -> Iterator[str]:
    """Each secret that stands somewhere."""
    for what, secret in walk.secrets.items():
        looked_for = needles(secret)
        for name, text in searched.items():
            if any(needle in text for needle in looked_for):
                yield f"{what} stands in {name}"


# One of the two in `make test`, both in `make prove`: what tells a secret tells it in either.
ALONE = pytest.param((EMBEDDED, CONSOLE), marks=pytest.mark.proof)


@pytest.fixture(scope="module", params=[ALONE, (SERVERS, JSON)])
def walked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Walk, Commands, dict[str, str]]]:
    """The service after every use and misuse, and all that it keeps."""
    engines, log_format = request.param
    environment = {**ENVIRONMENT, "LOG_FORMAT": log_format}
    stderr = tmp_path_factory.mktemp("canaries") / "stderr"
    with (
        serving(engines, environment, workers=2) as service,
        stderr.open("w") as complaints,
        Backstage(service.environment, complaints) as process,
    ):
        walk = Walk(service, operations(service))
        for ring in RINGS:
            walk.keep(ring, SECRETS[ring].rpartition(":")[2])
        walk.keep("METRICS_TOKEN", METRICS_TOKEN)
        commands = Commands(walk, process, stderr)
        merchant, people = commands.people()
        walk_api(walk, merchant)
        walk_console(walk, people, merchant)
        commands.walk(merchant)
        misuse(walk)
        send_no_requests(walk)
        yield walk, commands, places(walk, commands)


Walked = tuple[Walk, Commands, dict[str, str]]


def test_every_operation_of_the_api_is_walked(walked: Walked) -> None:
    walk, _, _ = walked
    assert len(walk.operations) > 40
    assert walk.walked == walk.operations, "walk it in fluxiq.tests.canaries"


def test_every_command_that_makes_or_takes_a_secret_is_walked(walked: Walked) -> None:
    _, commands, _ = walked
    ours = {
        path.stem
        for app in ("authn", "fluxiq/audit")
        for path in (PROJECT / app / "management" / "commands").glob("[a-z]*.py")
    }
    assert ours - WITHOUT_SECRETS == commands.used - WITHOUT_SECRETS


def test_what_is_searched_is_there(walked: Walked) -> None:
    walk, _, searched = walked
    assert len(walk.secrets) > 60
    assert {"accounts_user", "audit_auditevent", "authn_apikey", "django_admin_log"} <= {*searched}
    shared = [name for name in searched if name.startswith("counter ")]
    assert bool(shared) is bool(walk.service.environment["REDIS_URL"])
    assert "POST" in searched["the log"]
    assert "API_KEY_PEPPERS" in searched["what commands printed on stderr"]
    assert len(walk.answers) > 500


def test_no_secret_is_kept_anywhere(walked: Walked) -> None:
    walk, _, searched = walked
    found = "\n".join(finds(walk, searched))
    assert not found, found


def test_no_secret_is_told_but_where_it_is_documented(walked: Walked) -> None:
    walk, _, _ = walked
    found = "\n".join(walk.leaks())
    assert not found, found


def test_no_document_stands_in_the_log_the_trail_or_the_counters(walked: Walked) -> None:
    _, _, searched = walked
    for name, text in searched.items():
        if name.startswith(("audit_", "counter ", "/")) or name == "the log":
            assert not [each for each in (*DOCUMENTS, MAILBOX) if each in text], name
