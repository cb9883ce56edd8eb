"""What is wrong with this deployment, looked at from one of its machines, and how to mend it.

It changes nothing. What the system checks know they are asked; what only a running database,
counter or mail server can tell is looked at here.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from smtplib import SMTPException

from django.conf import settings
from django.core import checks, mail
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from ulid import ULID

from accounts.models import User
from authn import keys, signing
from authn.mfa import sealing
from authn.models import ApiKey, TotpFactor
from authn.models.mfa import sealing_keys
from authn.peppers import peppers
from authn.tokens import REFRESH_LIFETIME
from fluxiq import counters, rings
from fluxiq.audit import ring as audit_ring
from fluxiq.audit.models import PendingEvent, Seal
from fluxiq.counters import SharedCounters
from fluxiq.counters.server import ServerAway

SLOW_SEAL = timedelta(
    minutes=2
)  # workers seal each second; a tally's time is its minute's beginning
COUNTED_TO = 100_000
CLOCK_WARNING, CLOCK_ERROR = 1.0, 5.0  # seconds; limits are counted in windows of a minute
DISK_WARNING, DISK_ERROR = 0.10, 0.02  # of the disk, that is free
MAIL_TIMEOUT = 5  # seconds


class State(StrEnum):
    """How bad it is. An error is what stops something from working as it should."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what is so, and what to do about it where that is bad."""

    topic: str
    state: State
    text: str
    hint: str = ""


Findings = Iterator[Finding]


def _ok(topic: str, text: str, hint: str = "") -> Finding:
    return Finding(topic, State.OK, text, hint)


def _bad(topic: str, text: str, hint: str) -> Finding:
    return Finding(topic, State.ERROR, text, hint)


def _doubtful(topic: str, text: str, hint: str) -> Finding:
    return Finding(topic, State.WARNING, text, hint)


def examine() -> list[Finding]:
    """Look at everything that can be looked at, in the order in which to mend it."""
    found = list(_database())
    answers = all(finding.state is State.OK for finding in found)
    migrated = False
    if answers:
        migrations = list(_migrations())
        migrated = not any(finding.state is State.ERROR for finding in migrations)
        found += migrations
    found = [*_configuration(with_database=migrated), *found, *_counters(), *_signing_keys()]
    if answers:
        found += _clock("database", _database_time)
    if migrated:
        found += [*_people(), *_peppers(), *_mfa_keys(), *_trail()]
    return [*found, *_disks(), *_mail()]


def _configuration(*, with_database: bool) -> Findings:
    """Django's system checks and ours; those of a deployment where no demo is allowed."""
    messages = checks.run_checks(
        include_deployment_checks=not getattr(settings, "DEMO_ALLOWED", False),
        databases=["default"] if with_database else None,
    )
    told = [message for message in messages if not message.is_silenced()]
    for message in told:
        make = _bad if message.level >= checks.ERROR else _doubtful
        yield make("configuration", f"{message.msg} ({message.id})", message.hint or "")
    if not told:
        name = settings.SETTINGS_MODULE
        yield _ok("configuration", f"{name}: the system checks have nothing to say")


def _database() -> Findings:
    started = time.perf_counter()
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        version = ".".join(map(str, connection.get_database_version()))
    except Error as error:
        hint = "Is it running, and does DATABASE_URL name it, with its user and password?"
        yield _bad("database", f"it cannot be used: {str(error).strip()}", hint)
        return
    took = (time.perf_counter() - started) * 1000
    yield _ok("database", f"{connection.display_name} {version} answers in {took:.0f} ms")


def _migrations() -> Findings:
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
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004 - as above
        yield _bad("migrations", f"not applied: {names}{more}", "Run: python manage.py migrate")
    if unknown:
        names = ", ".join(map(".".join, sorted(unknown)))
        hint = "An older version runs on a newer database: deploy the newer version again."
        yield _doubtful("migrations", f"the database has some that are unknown here: {names}", hint)
    if not missing and not unknown:
        yield _ok("migrations", "all are applied")


def _counters() -> Findings:
    used = counters.of_requests()
    if isinstance(used, SharedCounters):
        yield from _clock("Valkey", used.time)
        return
    try:
        used.get("doctor")
    except sqlite3.Error as error:
        hint = f"May this user write to {_counters_folder()}, the folder of COUNTERS_PATH?"
        yield _bad("counters", f"this machine cannot count: {error}", hint)
        return
    yield _ok("counters", "this machine counts for itself: exact on one machine, without REDIS_URL")


def _counters_folder() -> Path:
    """Where this machine's counters are, and with them what else its processes share."""
    return Path(settings.HASHING_SLOTS_PATH).parent


def _database_time() -> float | None:
    """The database's clock, in seconds of Unix time; None where it has none of its own."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def _clock(whose: str, ask: Callable[[], float | None]) -> Findings:
    """Whether another's clock agrees with this machine's."""
    before = time.time()
    try:
        theirs = ask()
    except ServerAway:
        hint = (
            "Is it running, and does REDIS_URL name it? Until then each machine counts for itself."
        )
        yield _bad(whose, "it does not answer", hint)
        return
    after = time.time()
    if theirs is None:
        return
    apart = max(before - theirs, theirs - after, 0.0)
    text = f"{whose}'s is {apart:.1f} s apart from this machine's"
    hint = "Keep both by NTP: tokens, limits and one-time codes are judged by the clock."
    if whose == "Valkey":
        yield _ok(whose, f"it answers in {(after - before) * 1000:.0f} ms")
    if apart > CLOCK_ERROR:
        yield _bad("clock", text, hint)
    elif apart > CLOCK_WARNING:
        yield _doubtful("clock", text, hint)
    else:
        yield _ok("clock", text)


def _signing_keys() -> Findings:
    try:
        ring = signing.ring()
    except signing.InvalidSigningKeys:
        return  # the system checks tell
    first, *older = [key.kid for key in ring]
    yield _ok("signing keys", f"{first} signs" + (f", {', '.join(older)} verify" if older else ""))
    if older:
        days = REFRESH_LIFETIME.days
        yield _ok("signing keys", f"an older one can go {days} days after a newer one came first")


def _people() -> Findings:
    if User.objects.filter(is_superuser=True, is_active=True).exists():
        return
    hint = "Make one: python manage.py create_user DOCUMENT --name N --superuser"
    yield _doubtful("people", "there is no superuser, and so nobody to open the console", hint)


def _ring_in_use(
    topic: str, variable: str, ids: list[str], counts: dict[str, int], noun: str
) -> Findings:
    """What still stands under each of a ring. (What is missing from it, the checks tell.)"""
    for number, name in enumerate(ids):
        count = counts.get(name, 0)
        if number == 0:
            yield _ok(topic, f"{name} is the newest: {count} {noun} under it")
        elif count:
            yield _ok(topic, f"{name} is still needed: {count} {noun} under it")
        else:
            yield _ok(topic, f"{name} is needed no more", f"It can be taken out of {variable}.")


def _peppers() -> Findings:
    try:
        ids = [pepper.id for pepper in peppers()]
    except keys.InvalidPeppers:
        return  # the system checks tell
    counts = ApiKey.objects.live().per_pepper()
    yield from _ring_in_use("peppers", "API_KEY_PEPPERS", ids, counts, "live keys")


def _mfa_keys() -> Findings:
    try:
        ids = [key.id for key in sealing_keys()]
    except sealing.InvalidSealingKeys:
        return  # the system checks tell
    counts = TotpFactor.objects.confirmed().per_key()
    yield from _ring_in_use("MFA keys", "MFA_KEYS", ids, counts, "second factors")


def _trail() -> Findings:
    try:
        known = audit_ring.by_id()
    except rings.InvalidRing:
        return  # the system checks tell
    # The ends of the chain alone: a look at each link is verify_audit_log's.
    seals = Seal.objects.order_by("position").values_list("key_id", flat=True)
    ends = [end for end in (seals.first(), seals.last()) if end is not None]
    for name in sorted(set(ends) - known.keys()):
        hint = f"Put {name} back into AUDIT_KEYS: without it the trail cannot be verified."
        yield _bad("audit trail", f"the chain has seals under {name}, which is gone", hint)
    waiting = PendingEvent.objects.order_by("pk")
    oldest = waiting.values_list("pk", flat=True).first()
    if oldest is None:
        yield _ok("audit trail", "every event is sealed")
        return
    count = waiting[:COUNTED_TO].count()
    age = timezone.now() - ULID.from_str(oldest.partition("_")[2]).datetime
    text = f"{count} events wait for their seal, the oldest of {age.total_seconds():.0f} s ago"
    if age > SLOW_SEAL:
        hint = (
            "The workers seal each second: is one running? Or run: python manage.py seal_audit_log"
        )
        yield _doubtful("audit trail", text, hint)
    else:
        yield _ok("audit trail", text)


def _disks() -> Findings:
    places = {"counters": _counters_folder()}
    if connection.vendor == "sqlite":
        places["database"] = Path(str(connection.settings_dict["NAME"])).parent
    for name, folder in places.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError as error:
            yield _doubtful("disk", f"the {name}'s folder cannot be looked at: {error}", "Make it.")
            continue
        free = usage.free / usage.total
        text = f"{free:.0%} is free in {folder} ({name})"
        if free < DISK_ERROR:
            yield _bad("disk", text, f"Make room in {folder}.")
        elif free < DISK_WARNING:
            yield _doubtful("disk", text, f"Make room in {folder}.")
        else:
            yield _ok("disk", text)


def _mail() -> Findings:
    used = mail.get_connection()
    name = settings.EMAIL_BACKEND
    if not isinstance(used, SmtpBackend):
        yield _ok("mail", f"{name.rsplit('.', 2)[-2]}: no mail leaves this machine by SMTP")
        return
    used.timeout = MAIL_TIMEOUT
    where = f"{used.host}:{used.port}"
    try:
        used.open()
        used.close()
    except (OSError, SMTPException) as error:
        hint = "Password resets and security notices go by mail: see EMAIL_URL."
        yield _bad("mail", f"{where} takes none: {error}", hint)
        return
    yield _ok("mail", f"{where} answers")
