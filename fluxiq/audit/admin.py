"""The staff console's page of the audit trail: for reading alone."""

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from fluxiq import ids
from fluxiq.admin_lists import made_lately
from fluxiq.admin_site import ReadOnlyAdmin
from fluxiq.audit.models import AuditEvent


def _pretty(value: object) -> str:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin[AuditEvent]):
    """What happened, newest first."""

    list_display = ("at", "kind", "object_id", "actor", "merchant_id", "address")
    list_filter = ("kind", made_lately(ids.Prefix.EVENT))
    search_exact = ("id", "object_id", "merchant_id", "actor_id")
    search_help_text = gettext_lazy("The id of an event, an object, a merchant or an actor.")
    fieldsets = (
        (None, {"fields": ("id", "at", "kind", "object_id", "merchant_id")}),
        (gettext_lazy("Origin"), {"fields": ("actor", "address", "user_agent", "request_id")}),
        (gettext_lazy("Change"), {"fields": ("shown_before", "shown_after")}),
    )
    actions = None

    @admin.display(description=gettext_lazy("actor"))
    def actor(self, event: AuditEvent) -> str:
        """Who did it: the kind, and the id where there is one."""
        return f"{event.actor_kind} {event.actor_id}".strip()

    @admin.display(description=gettext_lazy("before"))
    def shown_before(self, event: AuditEvent) -> str:
        """The changed fields as they were."""
        return _pretty(event.before)

    @admin.display(description=gettext_lazy("after"))
    def shown_after(self, event: AuditEvent) -> str:
        """The changed fields as they are since."""
        return _pretty(event.after)
