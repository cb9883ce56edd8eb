"""Sessions at the staff console: looked at, and ended."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy

from accounts.models import User
from authn.models import Session
from fluxiq import ids
from fluxiq.admin_actions import ObjectAction
from fluxiq.admin_lists import State, StateFilter, found_names, made_lately
from fluxiq.admin_site import ReadOnlyAdmin

STATES = (
    State(
        "live",
        gettext_lazy("live"),
        lambda: Q(ended_at__isnull=True, expires_at__gt=timezone.now()),
    ),
    State(
        "expired",
        gettext_lazy("expired"),
        lambda: Q(ended_at__isnull=True, expires_at__lte=timezone.now()),
    ),
    State("ended", gettext_lazy("ended"), lambda: Q(ended_at__isnull=False)),
)
_LABELS = {state.value: state.label for state in STATES}


def state_badge(session: Session) -> str:
    """The state as a page shows it."""
    if session.ended_at is not None:
        state = "ended"
    else:
        state = "live" if session.expires_at > timezone.now() else "expired"
    tone = "good" if state == "live" else "dull"
    return format_html('<span class="fx-badge fx-{}">{}</span>', tone, _LABELS[state])


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin[Session]):
    """Sessions of the API's users; the console's own are Django's."""

    states = STATES
    list_display = (
        "created_at",
        "user_link",
        "shown_state",
        "address",
        "last_used_at",
        "expires_at",
        "shown_user_agent",
    )
    list_filter = (StateFilter, made_lately(ids.Prefix.SESSION))
    list_lookups = ("user__id__exact",)
    list_select_related = ("user",)
    search_exact = ("id", "address")
    search_help_text = gettext_lazy("The session's id, its address, or the user's name or id.")
    fields = (
        "id",
        "user",
        "shown_state",
        "address",
        "user_agent",
        "created_at",
        "second_factor",
        "last_used_at",
        "expires_at",
        "ended_at",
        "ended_reason",
    )
    object_actions: ClassVar = (
        ObjectAction(
            name="end",
            label=gettext_lazy("End sessions"),
            explanation=gettext_lazy("Their tokens are refused from the next request on."),
            perform=lambda session, reason: Session.objects.filter(pk=session.pk).end(
                "ended by staff"
            ),
            applies_to=lambda session: session.ended_at is None,
            permission="authn.change_session",  # nothing of a session is edited
        ),
    )

    def search_conditions(self, term: str) -> list[Q]:
        """Those of the session itself, and of its user."""
        users = found_names(User.objects.all(), term)
        return [*super().search_conditions(term), Q(user_id__in=users)]

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, session: Session) -> str:
        """Whether its tokens work."""
        return state_badge(session)

    @admin.display(description=gettext_lazy("user"))
    def user_link(self, session: Session) -> str:
        """A list's column: the user, and a link that narrows the list to their sessions."""
        query = urlencode({"user__id__exact": session.user_id})
        return format_html('<a href="?{}">{}</a>', query, session.user)

    @admin.display(description=gettext_lazy("user agent"))
    def shown_user_agent(self, session: Session) -> str:
        """A list's column: the beginning of it."""
        return session.user_agent[:60]
