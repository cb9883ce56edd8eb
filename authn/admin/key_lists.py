"""What the lists of API keys are narrowed by, and how they show a key's state."""

from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from authn.models import ApiKey
from authn.models.api_key_queries import ApiKeyQuerySet, KeyState, in_state
from fluxiq.admin_lists import State

_LABELS = {
    KeyState.LIVE: gettext_lazy("live"),
    KeyState.IN_GRACE: gettext_lazy("in grace"),
    KeyState.EXPIRED: gettext_lazy("expired"),
    KeyState.REVOKED: gettext_lazy("revoked"),
}
STATES = tuple(State(state, label, partial(in_state, state)) for state, label in _LABELS.items())
_TONES = {KeyState.LIVE: "good", KeyState.IN_GRACE: "warn"}


def state_badge(api_key: ApiKey) -> str:
    """The state as a page shows it."""
    tone = _TONES.get(api_key.state, "dull")
    return format_html('<span class="fx-badge fx-{}">{}</span>', tone, _LABELS[api_key.state])


class OwnerFilter(admin.SimpleListFilter):
    """Narrows the keys to merchants' or services'."""

    title = gettext_lazy("owner")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [("merchant", _("merchants")), ("service", _("services"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("merchant", "service"):
            return queryset
        return queryset.filter(merchant__isnull=self.value() == "service")


class UseFilter(admin.SimpleListFilter):
    """Narrows the keys to those that somebody should look at."""

    title = gettext_lazy("use")
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [
            ("never", _("never used")),
            ("idle", _("idle for 90 days")),
            ("expiring", _("expiring within 30 days")),
            ("pepper", _("on an old pepper")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        keys = cast(ApiKeyQuerySet, queryset)
        attention = {
            "never": keys.never_used,
            "idle": keys.idle,
            "expiring": keys.expiring,
            "pepper": keys.on_old_pepper,
        }
        narrow = attention.get(self.value() or "")
        return queryset if narrow is None else narrow()
