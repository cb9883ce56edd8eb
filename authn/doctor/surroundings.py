"""What the doctor finds around the service: settings, database, Valkey, clocks, disks, mail."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from smtplib import SMTPException

from django.conf import settings
from django.core import checks, mail
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from authn.doctor.findings import Findings, bad, doubtful, ok
from fluxiq import counters
from fluxiq.counters import SharedCounters
from fluxiq.counters.server import ServerAway

CLOCK_WARNING, CLOCK_ERROR = 1.0, 5.0  # seconds; limits are counted in windows of a minute
DISK_WARNING, DISK_ERROR = 0.10, 0.02  # of the disk, that is free
MAIL_TIMEOUT = 5  # seconds


def examine_configuration(*, with_database: bool) -> Findings:
    """Django's system checks and ours; those of a deployment where no demo is allowed."""
    messages = checks.run_checks(
        include_deployment_checks=not getattr(settings, "DEMO_ALLOWED", False),
        databases=["default"] if with_database else None,
    )
    told = [message for message in messages if not message.is_silenced()]
    for message in told:
        make = bad if message.level >= checks.ERROR else doubtful
        yield make("configuration", f"{message.msg} ({message.id})", message.hint or "")
    if not told:
        name = settings.SETTINGS_MODULE
        yield ok("configuration", f"{name}: the system checks have nothing to say")


def examine_database() -> Findings:
    """Whether the database answers, and how fast."""
    started = time.perf_counter()
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        version = ".".join(map(str, connection.get_database_version()))
    except Error as error:
        hint = "Is it running, and does DATABASE_URL name it, with its user and password?"
        yield bad("database", f"it cannot be used: {str(error).strip()}", hint)
        return
    took = (time.perf_counter() - started) * 1000
    yield ok("database", f"{connection.display_name} {version} answers in {took:.0f} ms")


def examine_migrations() -> Findings:
    """Whether the database has those that this code has, and no others."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    ours = {key[0] for key in executor.loader.disk_migrations or {}}
    unknown = [
        key
        for key in executor.loader.applied_migrations
        if key[0] in ours and key not in executor.loader.graph.nodes
    ]
    if missing:
        names = ", ".join(f"{m.app_label}.{m.name}" for m, _ in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004 - those that are named
        yield bad("migrations", f"not applied: {names}{more}", "Run: python manage.py migrate")
    if unknown:
        names = ", ".join(map(".".join, sorted(unknown)))
        hint = "An older version runs on a newer database: deploy the newer version again."
        yield doubtful("migrations", f"the database has some that are unknown here: {names}", hint)
    if not missing and not unknown:
        yield ok("migrations", "all are applied")


def examine_counters() -> Findings:
    """Whether requests can be counted, and where they are."""
    used = counters.of_requests()
    if isinstance(used, SharedCounters):
        yield from examine_clock("Valkey", used.time)
        return
    try:
        used.get("doctor")
    except sqlite3.Error as error:
        hint = f"May this user write to {_counters_folder()}, the folder of COUNTERS_PATH?"
        yield bad("counters", f"this machine cannot count: {error}", hint)
        return
    yield ok("counters", "this machine counts for itself: exact on one machine, without REDIS_URL")


def _counters_folder() -> Path:
    """Where this machine's counters are, and with them what else its processes share."""
    return Path(settings.HASHING_SLOTS_PATH).parent


def database_time() -> float | None:
    """The database's clock, in seconds of Unix time; None where it has none of its own."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def examine_clock(whose: str, ask: Callable[[], float | None]) -> Findings:
    """Whether another's clock agrees with this machine's."""
    before = time.time()
    try:
        theirs = ask()
    except ServerAway:
        hint = (
            "Is it running, and does REDIS_URL name it? Until then each machine counts for itself."
        )
        yield bad(whose, "it does not answer", hint)
        return
    after = time.time()
    if theirs is None:
        return
    apart = max(before - theirs, theirs - after, 0.0)
    text = f"{whose}'s is {apart:.1f} s apart from this machine's"
    hint = "Keep both by NTP: tokens, limits and one-time codes are judged by the clock."
    if whose == "Valkey":
        yield ok(whose, f"it answers in {(after - before) * 1000:.0f} ms")
    if apart > CLOCK_ERROR:
        yield bad("clock", text, hint)
    elif apart > CLOCK_WARNING:
        yield doubtful("clock", text, hint)
    else:
        yield ok("clock", text)


def examine_disks() -> Findings:
    """How much is free where this machine writes."""
    places = {"counters": _counters_folder()}
    if connection.vendor == "sqlite":
        places["database"] = Path(str(connection.settings_dict["NAME"])).parent
    for name, folder in places.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError as error:
            yield doubtful("disk", f"the {name}'s folder cannot be looked at: {error}", "Make it.")
            continue
        free = usage.free / usage.total
        text = f"{free:.0%} is free in {folder} ({name})"
        if free < DISK_ERROR:
            yield bad("disk", text, f"Make room in {folder}.")
        elif free < DISK_WARNING:
            yield doubtful("disk", text, f"Make room in {folder}.")
        else:
            yield ok("disk", text)


def examine_mail() -> Findings:
    """Whether a mail server answers, where mail goes by one."""
    used = mail.get_connection()
    name = settings.EMAIL_BACKEND
    if not isinstance(used, SmtpBackend):
        yield ok("mail", f"{name.rsplit('.', 2)[-2]}: no mail leaves this machine by SMTP")
        return
    used.timeout = MAIL_TIMEOUT
    where = f"{used.host}:{used.port}"
    try:
        used.open()
        used.close()
    except (OSError, SMTPException) as error:
        hint = "Password resets and security notices go by mail: see EMAIL_URL."
        yield bad("mail", f"{where} takes none: {error}", hint)
        return
    yield ok("mail", f"{where} answers")
