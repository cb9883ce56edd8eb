from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "fluxiq.audit"
    label = "audit"
    verbose_name = "Audit trail"
