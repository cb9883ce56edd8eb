"""What every deployment shares. Nothing secret, and nothing that a deployment must decide."""

import re
from importlib.util import find_spec
from pathlib import Path

from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

from fluxiq.counters.naming import PlainName
from fluxiq.logs import logging_config
from fluxiq.settings import server
from fluxiq.settings.console import *  # noqa: F403 - a part of this file, by its subject
from fluxiq.settings.readers import (
    WEB,
    boolean,
    hosts,
    integer,
    listed,
    mailbox,
    one_of,
    origins,
    rate,
    text,
    url,
)

# What is wrong with gunicorn's variables, commands refuse too.
_server = server.read()
server.metrics()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

DEBUG = False
ROOT_URLCONF = "fluxiq.urls"
WSGI_APPLICATION = "fluxiq.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
LOCALE_PATHS = [BASE_DIR / "fluxiq" / "locale"]

INSTALLED_APPS = [
    "fluxiq.audit",
    "accounts",
    "merchants",
    "authn",
    "unfold.apps.BasicAppConfig",  # the console's theme, whose templates go before the admin's own
    "fluxiq.apps.StaffConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "fluxiq.middleware.OutermostMiddleware",
    "authn.middleware.GateMiddleware",
    "fluxiq.middleware.BrowserMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "fluxiq" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "fluxiq" / "static"]
STATIC_ROOT = BASE_DIR / "var" / "static"

# Where the value of each ring is read, and refused by a ValueError: at the start, once for all
# workers (fluxiq.settings.preflight).
RINGS = {
    "JWT_SIGNING_KEYS": "authn.signing_keys.ring",
    "API_KEY_PEPPERS": "authn.peppers.peppers",
    "MFA_KEYS": "authn.mfa.sealing.sealing_keys",
    "AUDIT_KEYS": "fluxiq.audit.ring.ring",
}
# What verifies beside SECRET_KEY: see docs/operate.md, "Rotating a secret".
SECRET_KEY_FALLBACKS = listed("SECRET_KEY_FALLBACKS")

# Who may call
ALLOWED_HOSTS = hosts("ALLOWED_HOSTS")
TRUSTED_PROXIES = _server.proxies
CORS_ALLOWED_ORIGINS = origins("CORS_ALLOWED_ORIGINS")
# Preflights are the gateways' own affair where a gateway asks us about a request.
CORS_URLS_REGEX = r"^/api/(?!v1/auth/(verify|introspect)$)"
CORS_ALLOW_HEADERS = (*default_headers, "idempotency-key", "x-request-id")
CORS_EXPOSE_HEADERS = [
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
    "Retry-After",
    "X-Request-ID",
]

# Credentials
FLUXIQ_ENVIRONMENT = one_of("FLUXIQ_ENVIRONMENT", "live", ("live", "test"))
VERIFY_DOCUMENT_CHECK_DIGITS = boolean("VERIFY_DOCUMENT_CHECK_DIGITS", False)
ACCESS_TOKEN_SECONDS = 15 * 60
REFRESH_TOKEN_SECONDS = 7 * 24 * 60 * 60
SESSION_MAX_AGE = integer("SESSION_MAX_AGE", 30 * 24 * 60 * 60, 1)
REFRESH_REUSE_SECONDS = integer("REFRESH_REUSE_SECONDS", 10)

# What reads a caller again before a request writes (fluxiq.reauthentication).
REAUTHENTICATE = "authn.authentication.reauthenticate"

MFA_REQUIRED_FOR_STAFF = boolean("MFA_REQUIRED_FOR_STAFF", False)
MFA_REQUIRED_FOR_SUPERUSERS = boolean("MFA_REQUIRED_FOR_SUPERUSERS", False)

PASSWORD_RESET_TIMEOUT = 30 * 60
# {token} stands where the page that it opens reads it; a fragment is sent to no server's log.
PASSWORD_RESET_URL = url(
    "PASSWORD_RESET_URL",
    f"http://127.0.0.1:{_server.port}/reset-password#{{token}}",
    schemes=WEB,
)
if "{token}" not in PASSWORD_RESET_URL:
    raise ImproperlyConfigured("PASSWORD_RESET_URL must have {token} where its page reads it")
MAIL_IN_BACKGROUND = True
DEFAULT_FROM_EMAIL = mailbox("DEFAULT_FROM_EMAIL", "FluxiQ <no-reply@localhost>")
EMAIL_TIMEOUT = 10  # seconds; without one, a server that hangs would hold up all mail for good

# What each worker starts beside its requests, once it has loaded (fluxiq.wsgi).
WORKER_STARTS = ["fluxiq.metrics.worker.start", "fluxiq.audit.worker.start"]

# Who may ask for metrics: whoever reaches METRICS_PORT, or holds METRICS_TOKEN, or nobody.
METRICS_TOKEN = text("METRICS_TOKEN")
if re.fullmatch(r"[!-~]*", METRICS_TOKEN) is None:
    raise ImproperlyConfigured("METRICS_TOKEN may hold visible ASCII characters alone")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:  # noqa: PLR2004 - said in the message
    raise ImproperlyConfigured("METRICS_TOKEN needs 16 characters or more")
METRICS_SOURCES = ["fluxiq.audit.lag.look"]  # what is asked at each scrape

# Traces, for OpenTelemetry's own variables; nothing is imported for them where there are none.
_collectors = [
    url(name, schemes=WEB)
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
]
if any(_collectors):
    if find_spec("opentelemetry") is None:
        raise ImproperlyConfigured("for traces, install requirements-tracing.txt")
    WORKER_STARTS.append("fluxiq.telemetry.start")
TRACED = {
    "gate": "authn.middleware.Gate.enter",
    "counters": "fluxiq.counters.server.Server._send",
    "counters on this host": "fluxiq.counters.file.CounterFile.execute",
    "hash": "accounts.hashers.Argon2id._in_turn",
    "read": "fluxiq.database.rows_of",
}

WEB_THREADS = _server.threads  # of each worker: half of them may hash passwords
PASSWORD_HASHERS = ["accounts.hashers.Argon2id"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.passwords.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# simplejwt's token classes are subclassed in authn.tokens, on the key ring of authn.signing_keys.
SIMPLE_JWT = {"SIGNING_KEY": "", "USER_ID_CLAIM": "sub"}

# Limits
RATE_LIMIT_API_KEY = rate("RATE_LIMIT_API_KEY", "1000/m")
RATE_LIMIT_JWT = rate("RATE_LIMIT_JWT", "100/m")
RATE_LIMIT_ANONYMOUS = rate("RATE_LIMIT_ANONYMOUS", "10/m")
RATE_LIMIT_SERVICE_KEY = rate("RATE_LIMIT_SERVICE_KEY", "10000/m")
if RATE_LIMIT_SERVICE_KEY[1] != RATE_LIMIT_API_KEY[1]:
    raise ImproperlyConfigured("RATE_LIMIT_SERVICE_KEY and RATE_LIMIT_API_KEY need one window")
RATELIMIT_USE_CACHE = "default"
RATELIMIT_HASH_ALGORITHM = PlainName
# As they are by default: django-ratelimit asks at each count, and what is missing costs more.
RATELIMIT_ENABLE = True
RATELIMIT_CACHE_PREFIX = "rl:"
USAGE_IN_BACKGROUND = True
BASE_SILENCED = [
    # django-ratelimit does not know our backends; authn.checks asks in its place whether what
    # counts is shared by all workers.
    "django_ratelimit.E003",
    "django_ratelimit.W001",
    # The admin's middleware stands inside BrowserMiddleware, Django's SecurityMiddleware inside
    # OutermostMiddleware.
    "security.W001",
    "admin.E408",
    "admin.E409",
    "admin.E410",
]
SILENCED_SYSTEM_CHECKS = BASE_SILENCED

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["authn.authentication.GateAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["authn.permissions.DeclaredPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["fluxiq.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fluxiq.negotiation.ExactNegotiation",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "fluxiq.schema.operations.EnvelopeSchema",
    "EXCEPTION_HANDLER": "authn.refusals.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "FluxiQ Core authentication",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enum_id_removal",
        "fluxiq.schema.document.complete",
    ],
    "COMPONENT_SPLIT_PATCH": False,  # the body of a PATCH is a serializer of its own
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "TAGS": [
        {"name": "Authentication", "description": "Sign in, stay signed in, sign out."},
        {"name": "Second factor", "description": "An authenticator app beside the password."},
        {"name": "Sessions", "description": "Where you are signed in."},
        {"name": "API keys", "description": "Credentials for a merchant's servers."},
        {"name": "Merchants", "description": "The businesses that you belong to."},
        {"name": "Accounts", "description": "A merchant's payment accounts."},
        {"name": "Users", "description": "The people of a merchant, and their roles."},
        {"name": "For gateways", "description": "What other services ask about a caller."},
        {"name": "Documentation", "description": "This document, and a page to try it."},
    ],
}

# The staff console's session
SESSION_ENGINE = "fluxiq.console_sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 30 * 60  # since the last request
SESSION_SAVE_EVERY_REQUEST = True
STAFF_SESSION_MAX_AGE = 8 * 60 * 60  # since the sign-in
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

LOGGING = logging_config("console")
LOG_REQUESTS = boolean("LOG_REQUESTS", False)
