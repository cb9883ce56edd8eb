"""Production: no defaults. What is missing is named, all of it at once, and nothing starts."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from fluxiq.counters import default_location
from fluxiq.logs import logging_config
from fluxiq.settings.base import *  # noqa: F403 - the idiom of layered settings
from fluxiq.settings.base import BASE_DIR, BASE_SILENCED
from fluxiq.settings.engines import cache, database, mail
from fluxiq.settings.readers import boolean, integer, text

REQUIRED = (
    "SECRET_KEY",
    "JWT_SIGNING_KEYS",
    "API_KEY_PEPPERS",
    "AUDIT_KEYS",
    "MFA_KEYS",
    "DATABASE_URL",
    "ALLOWED_HOSTS",
)

_missing = [name for name in REQUIRED if not text(name)]
if _missing:
    raise ImproperlyConfigured("production needs these in its environment: " + ", ".join(_missing))

SECRET_KEY = text("SECRET_KEY")
JWT_SIGNING_KEYS = text("JWT_SIGNING_KEYS")
API_KEY_PEPPERS = text("API_KEY_PEPPERS")
AUDIT_KEYS = text("AUDIT_KEYS")
MFA_KEYS = text("MFA_KEYS")

DATABASES = {"default": database("DATABASE_URL")}
COUNTERS_PATH = text("COUNTERS_PATH", str(default_location(str(BASE_DIR))))
HASHING_SLOTS_PATH = str(Path(COUNTERS_PATH).parent / "hashing")
METRICS_DIRECTORY = str(Path(COUNTERS_PATH).parent / "metrics")
CACHES = {"default": cache("REDIS_URL", Path(COUNTERS_PATH))}

MFA_REQUIRED_FOR_STAFF = boolean("MFA_REQUIRED_FOR_STAFF", True)
MFA_REQUIRED_FOR_SUPERUSERS = boolean("MFA_REQUIRED_FOR_SUPERUSERS", True)

VERIFY_DOCUMENT_CHECK_DIGITS = boolean("VERIFY_DOCUMENT_CHECK_DIGITS", True)

# TLS ends before us or with us: gunicorn believes X-Forwarded-Proto of TRUSTED_PROXIES alone.
SECURE_SSL_REDIRECT = boolean("SECURE_SSL_REDIRECT", False)
# For our own name alone: what the other names of the domain serve, and whether it belongs on the
# browsers' preload list, is for its owner to say, at the gateway.
SECURE_HSTS_SECONDS = integer("SECURE_HSTS_SECONDS", 365 * 24 * 60 * 60)
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SILENCED_SYSTEM_CHECKS = [
    *BASE_SILENCED,
    "security.W002",  # frames are refused there too, and by policy where else there are pages
    "security.W003",  # CSRF is on where there are cookies: StaffConsoleMiddleware
    "security.W005",  # HSTS of subdomains: see SECURE_HSTS_SECONDS
    "security.W021",  # HSTS's preload list, too
    "security.W008",  # health checks and a gateway's calls come without TLS inside its network
]

vars().update(mail("EMAIL_URL", "smtp://localhost:25"))

LOGGING = logging_config("json")

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
