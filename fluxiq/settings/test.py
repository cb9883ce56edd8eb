"""The test suite: fixed secrets, a database and counters of its own, cheap hashing."""

import os
import tempfile
from pathlib import Path

from fluxiq.settings.base import *  # noqa: F403 - the idiom of layered settings
from fluxiq.settings.engines import cache, database

SECRET_KEY = "test-secret-key-of-django-alone-0123456789"  # noqa: S105 - of the tests alone
JWT_SIGNING_KEYS = "test-1:signing-key-of-the-tests-alone-0123456789"
API_KEY_PEPPERS = "test-1:pepper-of-the-tests-alone-0123456789"
AUDIT_KEYS = "test-1:audit-key-of-the-tests-alone-0123456789"
MFA_KEYS = "test-1:sealing-key-of-the-tests-alone-0123456789"

ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]

_scratch = Path(tempfile.gettempdir()) / f"fluxiq-tests-{os.getuid()}-{os.getpid()}"
DATABASES = {"default": database("TEST_DATABASE_URL", f"sqlite:///{_scratch}.sqlite3")}
CACHES = {"default": cache("TEST_REDIS_URL", _scratch / "counters.sqlite3")}
# The processes of one run share a server, and clear what is theirs alone.
CACHES["default"]["KEY_PREFIX"] = os.environ.get("PYTEST_XDIST_WORKER", "main")

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", "accounts.hashers.Argon2id"]
DEMO_ALLOWED = True
HASHING_SLOTS_PATH = str(_scratch / "hashing")
METRICS_DIRECTORY = str(_scratch / "metrics")
MAIL_IN_BACKGROUND = False
USAGE_IN_BACKGROUND = False
WORKER_STARTS = []
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
