from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The append-only trail of what happened, and its seals."""

    name = "fluxiq.audit"
    label = "audit"
    verbose_name = "Audit trail"

    def ready(self) -> None:
        from fluxiq.audit import checks  # noqa: F401, PLC0415 - models exist only from here on
