"""The staff console's page of the audit trail: for reading alone."""

import json

from django.contrib import admin
from django.utils.html import format_html

from fluxiq.admin_site import ReadOnlyAdmin
from fluxiq.audit.models import AuditEvent


def _pretty(value: object) -> str:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin[AuditEvent]):
    """What happened, newest first."""

    list_display = ("shown_at", "kind", "object_id", "actor", "merchant_id", "address")
    list_filter = ("kind", "actor_kind", "at")
    search_fields = ("object_id__exact", "merchant_id__exact", "actor_id__exact")
    search_help_text = "The id of an object, a merchant or an actor."
    fieldsets = (
        (None, {"fields": ("id", "shown_at", "kind", "object_id", "merchant_id")}),
        ("Origin", {"fields": ("actor", "address", "user_agent", "request_id")}),
        ("Change", {"fields": ("shown_before", "shown_after")}),
    )
    actions = None

    @admin.display(description="at (UTC)", ordering="at")
    def shown_at(self, event: AuditEvent) -> str:
        """When, to the second."""
        moment = f"{event.at:%Y-%m-%d %H:%M:%S}"
        return format_html('<span class="nowrap">{}</span>', moment)

    @admin.display(ordering="actor_id")
    def actor(self, event: AuditEvent) -> str:
        """Who did it: the kind, and the id where there is one."""
        return f"{event.actor_kind} {event.actor_id}".strip()

    @admin.display(description="before")
    def shown_before(self, event: AuditEvent) -> str:
        """The changed fields as they were."""
        return _pretty(event.before)

    @admin.display(description="after")
    def shown_after(self, event: AuditEvent) -> str:
        """The changed fields as they are since."""
        return _pretty(event.after)
