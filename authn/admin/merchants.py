"""Merchants at the staff console, with what of theirs concerns credentials."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from authn import figures
from authn.admin.key_lists import state_badge
from authn.models import ApiKey
from fluxiq.admin_actions import Tool
from fluxiq.audit.models import AuditEvent
from fluxiq.panels import Table, sparkline
from fluxiq.times import moment
from merchants import admin as merchants_admin
from merchants.admin import list_of, list_url, may_see
from merchants.models import Merchant, PaymentAccount

SHOWN = 10

admin.site.unregister(Merchant)


@admin.register(Merchant)
class MerchantAdmin(merchants_admin.MerchantAdmin):
    """Merchants, with their accounts, their keys and what happened."""

    def get_object_tools(self, request: HttpRequest, obj: Merchant) -> list[Tool]:
        return [*super().get_object_tools(request, obj), *list_of(ApiKey, request, obj)]

    def get_object_panels(self, request: HttpRequest, obj: Merchant) -> list[tuple[str, Any]]:
        panels = []
        if may_see(request, ApiKey):
            panels.append(_keys(obj))
        if may_see(request, PaymentAccount):
            panels.append(_accounts(obj))
        if may_see(request, AuditEvent):
            panels.append(_events(obj))
        return [(panel.template, panel) for panel in panels]


def link(obj: Any, text: Any) -> str:
    """A link to an object's page."""
    name = f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=(obj.pk,)), text)


def _keys(merchant: Merchant) -> Table:
    keys = list(merchant.api_keys.order_by("-pk")[:SHOWN])
    uses = figures.days_of_keys(keys)
    rows = [
        (
            link(key, key.name),
            format_html("<code>{}</code>", key.hint),
            state_badge(key),
            moment(key.last_used_at),
            sparkline(uses[key.pk], _("%(count)d in 30 days") % {"count": sum(uses[key.pk])}),
        )
        for key in keys
    ]
    headers = (_("name"), _("hint"), _("state"), _("last used at"), _("requests, 30 days"))
    return Table(_("API keys"), headers, rows, list_url(ApiKey, merchant))


def _accounts(merchant: Merchant) -> Table:
    accounts = merchant.accounts.order_by("-pk")[:SHOWN]
    rows = [
        (
            link(account, account.name),
            f"{account.branch}/{account.number}",
            f"{account.currency} {account.balance}",
            _(account.get_status_display()),
        )
        for account in accounts
    ]
    headers = (_("name"), _("number"), _("balance"), _("status"))
    return Table(_("Payment accounts"), headers, rows, list_url(PaymentAccount, merchant))


def _events(merchant: Merchant) -> Table:
    return events_table(
        AuditEvent.objects.filter(merchant_id=merchant.pk), urlencode({"q": merchant.pk})
    )


def events_table(events: Any, query: str) -> Table:
    """The newest of these events."""
    rows = [
        (
            link(event, moment(event.at)),
            event.kind,
            event.object_id,
            f"{event.actor_kind} {event.actor_id}".strip(),
            event.address,
        )
        for event in events.order_by("-pk")[:SHOWN]
    ]
    headers = (_("at"), _("kind"), _("object"), _("actor"), _("address"))
    url = f"{reverse('admin:audit_auditevent_changelist')}?{query}"
    return Table(_("Audit events"), headers, rows, url)
