from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuthnConfig(AppConfig):
    """Credentials: API keys, sessions, their tokens, and the limits on both."""

    name = "authn"
    verbose_name = "Credentials"

    def ready(self) -> None:
        from authn import checks, groups, receivers  # noqa: F401, PLC0415 - models exist only from here on

        post_migrate.connect(groups.make_missing, sender=self)
