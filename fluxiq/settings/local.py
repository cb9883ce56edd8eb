"""A local run: SQLite and this machine's counters unless told otherwise, and secrets of its own.

Missing secrets are made once into `var/secrets.env`, which is not in git.
"""

import fcntl
import os
import secrets
from pathlib import Path

from fluxiq.counters import default_location
from fluxiq.settings.base import *  # noqa: F403 - the idiom of layered settings
from fluxiq.settings.base import BASE_DIR, STATIC_ROOT
from fluxiq.settings.engines import Environment, cache, database, mail
from fluxiq.settings.readers import hosts, text

VAR = BASE_DIR / "var"
SECRETS = {
    "SECRET_KEY": "",
    "JWT_SIGNING_KEYS": "local-1:",
    "API_KEY_PEPPERS": "local-1:",
    "AUDIT_KEYS": "local-1:",
    "MFA_KEYS": "local-1:",
}


def make_missing_secrets(path: Path) -> None:
    """Add to the secrets file what is not in it yet; of several processes, one does.

    What stands there stays: a version that needs another secret finds the old ones as they were.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        file.seek(0)
        written = file.read()
        known = {line.partition("=")[0].strip() for line in written.splitlines()}
        if written and not written.endswith("\n"):
            file.write("\n")
        for name, start in SECRETS.items():
            if name not in known:
                file.write(f"{name}={start}{secrets.token_urlsafe(48)}\n")


if not all(text(name) for name in SECRETS):
    make_missing_secrets(VAR / "secrets.env")
    Environment.read_env(
        VAR / "secrets.env"
    )  # what is set already, itself or as a file, goes first

SECRET_KEY = text("SECRET_KEY")
JWT_SIGNING_KEYS = text("JWT_SIGNING_KEYS")
API_KEY_PEPPERS = text("API_KEY_PEPPERS")
AUDIT_KEYS = text("AUDIT_KEYS")
MFA_KEYS = text("MFA_KEYS")

ALLOWED_HOSTS = hosts("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
DATABASES = {"default": database("DATABASE_URL", f"sqlite:///{VAR / 'db.sqlite3'}")}
COUNTERS_PATH = text("COUNTERS_PATH", str(default_location(str(BASE_DIR))))
HASHING_SLOTS_PATH = str(Path(COUNTERS_PATH).parent / "hashing")
METRICS_DIRECTORY = str(Path(COUNTERS_PATH).parent / "metrics")
CACHES = {"default": cache("REDIS_URL", Path(COUNTERS_PATH))}

DEMO_ALLOWED = True  # people with documented passwords (authn.demo)

vars().update(mail("EMAIL_URL", "consolemail://"))  # printed, where nothing else is said

STATIC_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)  # whitenoise warns without it
WHITENOISE_USE_FINDERS = True  # static files straight from the packages, without collectstatic
