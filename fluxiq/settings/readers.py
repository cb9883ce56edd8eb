"""How settings are read: one function for each kind of value, and what it must be like."""

import re
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from fluxiq.addresses import parse_networks
from fluxiq.postgresql.patience import PatientConnection
from fluxiq.settings.environment import Environment

env = Environment()  # NAME, or NAME_FILE naming a file that holds it


def text(name: str, default: str = "") -> str:
    """The variable as it stands, or what its _FILE holds, without white space around it.

    Not `env.str`: that takes a value that begins with `$` for the name of another variable.
    """
    return str(env.ENVIRON.get(name, "")).strip() or default


def rate(name: str, default: str) -> tuple[int, int]:
    """A rate such as `1000/m` as (requests, seconds). Raises ImproperlyConfigured."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([smh])", text(name, default))
    if match is None:
        raise ImproperlyConfigured(f"{name} must be like {default}: a number, /, and s, m or h")
    return int(match[1]), {"s": 1, "m": 60, "h": 3600}[match[2]]


def networks(name: str) -> Any:
    """A comma-separated list of CIDRs. Raises ImproperlyConfigured."""
    try:
        return parse_networks(env.list(name, default=[]))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def seconds(name: str, default: int) -> int:
    """A positive number of seconds. Raises ImproperlyConfigured."""
    try:
        value = env.int(name, default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number of seconds") from error
    if value < 1:
        raise ImproperlyConfigured(f"{name} must be at least 1 second")
    return int(value)


def database(url: str) -> dict[str, Any]:
    """Django's settings for a database URL: SQLite, or PostgreSQL with a pool per process."""
    config: dict[str, Any] = Environment.db_url_config(url)
    options: dict[str, Any] = config.setdefault("OPTIONS", {})
    if config["ENGINE"].endswith("sqlite3"):
        config["CONN_MAX_AGE"] = None  # to open the file costs more than most requests
        config["OPTIONS"] = {
            **options,
            # IMMEDIATE: a transaction that reads before it writes must not find the file taken.
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            " PRAGMA foreign_keys=ON;",
        }
    elif config["ENGINE"].endswith("postgresql"):
        config["ENGINE"] = "fluxiq.postgresql"
        config["CONN_MAX_AGE"] = 0  # the pool keeps connections
        options.setdefault("connect_timeout", 3)
        # A pooler that hands a connection on between transactions loses what lives longer than one:
        # cursors of the server, and prepared statements unless it knows of them.
        handed_on = env.bool("DATABASE_TRANSACTION_POOLING", False)
        config["DISABLE_SERVER_SIDE_CURSORS"] = handed_on
        prepared = env.bool("DATABASE_PREPARED_STATEMENTS", not handed_on)
        options["prepare_threshold"] = 5 if prepared else None  # None: fluxiq.database neither
        options["pool"] = {
            "min_size": 1,
            # One beyond the threads: for what a worker does beside its requests.
            "max_size": env.int("DATABASE_POOL_SIZE", env.int("WEB_THREADS", 4) + 1),
            "timeout": 2,
            # A connection that could not be opened for so long is opened anew when it is asked for:
            # the pool's own pauses between its tries grow longer than any outage that was short.
            "reconnect_timeout": 1,
            "connection_class": PatientConnection,
        }
    else:
        raise ImproperlyConfigured("DATABASE_URL must be a sqlite: or postgres: URL")
    return config


def mail(default: str) -> dict[str, Any]:
    """Django's settings for EMAIL_URL, or for the default where it says nothing."""
    config: dict[str, Any] = Environment.email_url_config(text("EMAIL_URL", default))
    return config


def cache(redis_url: str, fallback: Path) -> dict[str, Any]:
    """The counters: Redis or Valkey where there is one, else shared by this machine's workers."""
    if redis_url:
        return {
            "BACKEND": "fluxiq.counters.SharedCounters",
            "LOCATION": redis_url,
            "KEY_PREFIX": "fluxiq",
            "OPTIONS": {"fallback": str(fallback)},
        }
    return {"BACKEND": "fluxiq.counters.EmbeddedCounters", "LOCATION": str(fallback)}
