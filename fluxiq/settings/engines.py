"""Django's settings for what the service talks to: the database, the counters, the mail server."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environ import FileAwareEnv
from redis.exceptions import RedisError

from fluxiq.counters.cluster import Cluster, is_cluster
from fluxiq.counters.wire import Wires
from fluxiq.postgresql.patience import PatientConnection
from fluxiq.settings.environment import Variables
from fluxiq.settings.readers import boolean, integer, split_url, text

POSTGRESQL = ("postgres", "postgresql")
SQLITE = "sqlite:///"
IN_MEMORY = "sqlite://:memory:"
REDIS = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
SMTP = ("smtp", "smtps", "smtp+tls", "smtp+ssl")
OTHER_MAIL = ("consolemail", "filemail", "memorymail", "dummymail")


class Environment(FileAwareEnv):  # type: ignore[misc]
    """django-environ's readers over Variables."""

    ENVIRON = Variables(cache=False)


def database(name: str, default: str = "") -> dict[str, Any]:
    """Django's settings for a database URL: SQLite, or PostgreSQL with a pool per process.

    Raises ImproperlyConfigured.
    """
    url = text(name, default)
    config = _database_config(url)
    if config is None:
        raise ImproperlyConfigured(
            f"{name} must be postgres://user:password@host/name or sqlite:////path; what is special"
            " in a URL, such as / or @ or #, is percent-encoded in a user name or password"
        )
    options: dict[str, Any] = config.setdefault("OPTIONS", {})
    if url.startswith("sqlite:"):
        config["CONN_MAX_AGE"] = None  # to open the file costs more than most requests
        config["OPTIONS"] = {
            **options,
            # IMMEDIATE: a transaction that reads before it writes must not find the file taken.
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            " PRAGMA foreign_keys=ON;",
        }
        return config
    config["ENGINE"] = "fluxiq.postgresql"
    config["CONN_MAX_AGE"] = 0  # the pool keeps connections
    options.setdefault("connect_timeout", 3)
    # A pooler that hands a connection on between transactions loses what lives longer than one:
    # cursors of the server, and prepared statements unless it knows of them.
    handed_on = boolean("DATABASE_TRANSACTION_POOLING", False)
    config["DISABLE_SERVER_SIDE_CURSORS"] = handed_on
    prepared = boolean("DATABASE_PREPARED_STATEMENTS", not handed_on)
    options["prepare_threshold"] = 5 if prepared else None  # None: fluxiq.database neither
    options["pool"] = {
        "min_size": 1,
        # One beyond the threads: for what a worker does beside its requests.
        "max_size": integer("DATABASE_POOL_SIZE", integer("WEB_THREADS", 4, 1) + 1, 1),
        "timeout": 2,
        # A connection that could not be opened for so long is opened anew when it is asked for:
        # the pool's own pauses between its tries grow longer than any outage that was short.
        "reconnect_timeout": 1,
        "connection_class": PatientConnection,
    }
    return config


def _database_config(url: str) -> dict[str, Any] | None:
    """What django-environ reads in the URL; None for one that is not of the two kinds."""
    is_postgresql = url.partition("://")[0] in POSTGRESQL
    if not (is_postgresql or url.startswith(SQLITE) or url == IN_MEMORY) or not url.isprintable():
        return None
    try:
        config: dict[str, Any] = Environment.db_url_config(url)
    except ValueError:  # whose text repeats a part of the URL
        return None
    # An unencoded / or # cuts the URL short: what follows it is then no name.
    if is_postgresql and (not config["NAME"] or "@" in config["NAME"] or "#" in url):
        return None
    return config


def cache(name: str, fallback: Path) -> dict[str, Any]:
    """The counters: Redis or Valkey where there is one, else shared by this machine's workers.

    Raises ImproperlyConfigured.
    """
    url = text(name)
    if not url:
        return {"BACKEND": "fluxiq.counters.EmbeddedCounters", "LOCATION": str(fallback)}
    if not _is_redis(url):
        raise ImproperlyConfigured(
            f"{name} must be like redis://host:6379/0 (or rediss://, unix:///path,"
            " redis+cluster://host:6379,host:6379)"
        )
    return {
        "BACKEND": "fluxiq.counters.SharedCounters",
        "LOCATION": url,
        "KEY_PREFIX": "fluxiq",
        "OPTIONS": {"fallback": str(fallback)},
    }


def _is_redis(url: str) -> bool:
    """Whether a client can be made for this URL. Nothing is connected."""
    scheme, _, rest = url.partition("://")
    if scheme not in REDIS or not rest or not url.isprintable():
        return False
    try:
        if is_cluster(url):
            Cluster(url, 1)
        else:
            Wires(url, 1, idle_seconds=1)
    except (TypeError, ValueError, RedisError):  # whose text may hold a part of the password
        return False
    return True


def mail(name: str, default: str) -> dict[str, Any]:
    """Django's settings for the URL of a mail server. Raises ImproperlyConfigured."""
    url = text(name, default)
    parts = split_url(url)
    is_smtp = parts is not None and parts.scheme in SMTP and bool(parts.hostname)
    if parts is None or not (is_smtp or parts.scheme in OTHER_MAIL):
        raise ImproperlyConfigured(
            f"{name} must be smtp://host:25, or smtp+tls:// or smtp+ssl:// with user:password@"
        )
    config: dict[str, Any] = Environment.email_url_config(url)
    return config
