from django.apps import AppConfig


class AuthnConfig(AppConfig):
    """Credentials: API keys, sessions, their tokens, and the limits on both."""

    name = "authn"
    verbose_name = "Credentials"

    def ready(self) -> None:
        from authn import checks, receivers  # noqa: F401, PLC0415 - models exist only from here on
