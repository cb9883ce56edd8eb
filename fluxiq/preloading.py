"""What gunicorn's master imports before it forks: libraries, and none of this project.

A worker then starts in a third of the time, after a deploy as after a crash, and shares the
libraries' memory. The project's own code and the settings are each worker's to load, so that SIGHUP
brings new ones.
"""

from importlib import import_module

# Each brings much with it, and can be imported before there are settings.
LIBRARIES = (
    "cryptography.hazmat.primitives.ciphers.aead",
    "django.contrib.admin.utils",
    "django.core.handlers.wsgi",
    "django.db.backends.postgresql.base",
    "django.db.migrations",
    "django.db.models",
    "django.forms",
    "django.template.loader",
    "django.test",  # rest_framework_simplejwt's wish
    "django.views.generic",
    "jwt",
    "psycopg.types.json",
    "redis.asyncio",  # redis' own
    "rest_framework.serializers",
)


def import_libraries() -> None:
    """Import all of them. Raises ImportError where one is missing."""
    for library in LIBRARIES:
        import_module(library)
