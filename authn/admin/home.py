"""The first page of the staff console: what is going on, and what somebody should look at."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from authn import figures
from authn.admin.merchants import link
from authn.models import ApiKey
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.panels import Table
from fluxiq.times import moment
from merchants.admin import may_see


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The page's context, with figures of keys and of events for who may see these."""
    sees_keys, sees_events = may_see(request, ApiKey), may_see(request, AuditEvent)
    charts = figures.charts(of_requests=sees_keys, of_sign_ins=sees_events)
    tables = []
    if sees_keys:
        tables += [_busiest(), _expiring(), _never_used(), _idle()]
    if sees_events:
        tables.append(_reuses())
    return {
        **context,
        "health": figures.health(),
        "charts": charts,
        "attention": _attention() if sees_keys else [],
        "tables": tables,
    }


def _keys_url(**query: str) -> str:
    return f"{reverse('admin:authn_apikey_changelist')}?{urlencode(query)}"


def _attention() -> list[dict[str, Any]]:
    shown: list[tuple[QuerySet[ApiKey], str | Promise, str]] = [
        (ApiKey.objects.expiring(), _("expire within 30 days"), _keys_url(use="expiring")),
        (ApiKey.objects.never_used(), _("were never used"), _keys_url(use="never")),
        (ApiKey.objects.idle(), _("idle for 90 days"), _keys_url(use="idle")),
        (ApiKey.objects.on_old_pepper(), _("on an old pepper"), _keys_url(use="pepper")),
    ]
    return [{"count": _counted(rows), "label": label, "url": url} for rows, label, url in shown]


def _counted(rows: "QuerySet[ApiKey]") -> str:
    count = figures.counted(rows)
    written = number_format(count, force_grouping=True)
    return f"{written}+" if count >= figures.COUNTED else written


def _owner(api_key: ApiKey) -> Any:
    return link(api_key.merchant, api_key.merchant.name) if api_key.merchant else _("a service")


def _named(api_key: ApiKey) -> Any:
    return format_html("{} <code>{}</code>", link(api_key, api_key.name), api_key.hint)


def _busiest() -> Table:
    rows = [
        (_named(key), _owner(key), number_format(total, force_grouping=True))
        for key, total in figures.busiest()
    ]
    headers = (_("key"), _("merchant"), _("admitted"))
    return Table(_("Busiest keys, 24 hours"), headers, rows)


def _few(keys: "QuerySet[ApiKey]") -> list[ApiKey]:
    return list(keys.select_related("merchant")[: figures.SHOWN])


def _expiring() -> Table:
    rows = [
        (_named(k), _owner(k), moment(k.expires_at))
        for k in _few(ApiKey.objects.expiring().order_by("expires_at"))
    ]
    headers = (_("key"), _("merchant"), _("expires at"))
    return Table(_("Expiring within 30 days"), headers, rows, _keys_url(use="expiring"))


def _never_used() -> Table:
    rows = [
        (_named(k), _owner(k), moment(k.created_at))
        for k in _few(ApiKey.objects.never_used().order_by("pk"))
    ]
    headers = (_("key"), _("merchant"), _("created at"))
    return Table(_("Never used"), headers, rows, _keys_url(use="never"))


def _idle() -> Table:
    rows = [
        (_named(k), _owner(k), moment(k.last_used_at))
        for k in _few(ApiKey.objects.idle().order_by("last_used_at"))
    ]
    headers = (_("key"), _("merchant"), _("last used at"))
    return Table(_("Idle for 90 days"), headers, rows, _keys_url(use="idle"))


def _reuses() -> Table:
    rows = [
        (link(event, moment(event.at)), event.actor_id, event.object_id, event.address)
        for event in figures.reuses()[: figures.SHOWN]
    ]
    headers = (_("at"), _("user"), _("session"), _("address"))
    kind = urlencode({"kind__exact": Kind.SESSION_REUSE_DETECTED})
    url = f"{reverse('admin:audit_auditevent_changelist')}?{kind}"
    return Table(_("Sessions ended for reuse, 30 days"), headers, rows, url)
