"""PgBouncer in transaction mode, from the system's package, before a database of a test."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from fluxiq.tests.engines import EngineUnavailable, Process, free_port, require

# Fewer than the service's own pools hold, so that its connections take turns on them; and each
# turn is on the next one, so that nothing works by the luck of getting the last one back.
CONFIGURATION = """
[databases]
{name} = host={host} port={server} dbname={name} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = {user}
pool_mode = transaction
default_pool_size = {size}
min_pool_size = {size}
server_round_robin = 1
max_client_conn = 200
"""


@dataclass(frozen=True)
class Pooler:
    """A running PgBouncer: the URL of the database through it."""

    url: str

    def show(self, what: str) -> list[dict[str, Any]]:
        """The rows of its SHOW command."""
        console = urlsplit(self.url)._replace(path="/pgbouncer").geturl()
        with psycopg.connect(
            console, autocommit=True, row_factory=dict_row, cursor_factory=psycopg.ClientCursor
        ) as connection:
            return connection.execute(f"SHOW {what}".encode()).fetchall()


def _program() -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    program = shutil.which("pgbouncer", path=path)
    if program is None:
        raise EngineUnavailable("no PgBouncer: apt-get install pgbouncer brings it")
    return program


@contextmanager
def pgbouncer(url: str, *, size: int) -> Iterator[Pooler]:
    """PgBouncer before the database at that URL, on so many connections to it."""
    program = require(_program)
    parts = urlsplit(url)
    assert parts.username
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-pgbouncer-"))
    port = free_port()
    file = directory / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(
            name=parts.path.removeprefix("/"),
            host=parts.hostname,
            server=parts.port,
            user=parts.username,
            port=port,
            size=size,
        )
    )
    # PgBouncer refuses to run as root.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    if user is not None:
        for path in (directory, file):
            os.chown(path, user, -1)
    process = Process([program, file], directory=directory, stop_signal="KILL", user=user)
    pooler = Pooler(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl())
    try:
        process.wait_until(lambda: _answers(pooler.url), what="PgBouncer")
        yield pooler
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
