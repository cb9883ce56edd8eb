"""A local run: SQLite and this machine's counters unless told otherwise, and secrets of its own.

Missing secrets are made once into `var/secrets.env`, which is not in git.
"""

import contextlib
import os
import secrets
from pathlib import Path

from environ import Env

from fluxiq.counters import default_location
from fluxiq.settings.base import *  # noqa: F403 - the idiom of layered settings
from fluxiq.settings.base import BASE_DIR, cache, database, env

VAR = BASE_DIR / "var"


def make_secrets_once(path: Path) -> None:
    """Write the secrets file unless it is there; of several processes, one does."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        return
    lines = (
        f"SECRET_KEY={secrets.token_urlsafe(48)}",
        f"JWT_SIGNING_KEYS=local-1:{secrets.token_urlsafe(48)}",
        f"API_KEY_PEPPERS=local-1:{secrets.token_urlsafe(48)}",
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")
    with contextlib.suppress(FileExistsError):  # another process was first: its secrets hold
        os.link(draft, path)
    draft.unlink()


make_secrets_once(VAR / "secrets.env")
Env.read_env(VAR / "secrets.env")  # what the environment sets already goes first

SECRET_KEY = env.str("SECRET_KEY")
JWT_SIGNING_KEYS = env.str("JWT_SIGNING_KEYS")
API_KEY_PEPPERS = env.str("API_KEY_PEPPERS")

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
DATABASES = {"default": database(env.str("DATABASE_URL", f"sqlite:///{VAR / 'db.sqlite3'}"))}
CACHES = {"default": cache(env.str("REDIS_URL", ""), default_location(str(BASE_DIR)))}

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

WHITENOISE_USE_FINDERS = True  # static files straight from the packages, without collectstatic
