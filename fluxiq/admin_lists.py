"""The lists of the staff console, which stay quick over millions of rows.

Nothing here counts a table, sorts by what has no index, or reads further than a bound: a list is
ordered by its id, which is by age; it is narrowed by filters with an index of their own, and
searched by ids, by beginnings, and by names of which PostgreSQL keeps trigrams.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fluxiq import ids
from fluxiq.theme import M, ThemedAdmin

PER_PAGE = 50
MAX_ROWS = 10_000  # how deep a list can be leafed through; beyond, it is narrowed
MAX_FOUND = 1_000  # how many of the newest rows a search finds
MIN_NAME = 3  # characters: fewer make no trigram


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages without a total: only whether there is a next one is ever asked."""

    template_name = "unfold/helpers/pagination_infinite.html"

    @cached_property
    def count(self) -> int:
        """As many as can be leafed through, whatever there is."""
        return MAX_ROWS


class BoundedChangeList(ChangeList):
    """A list that claims no total."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count: int | None = self.result_count


class BoundedAdmin(ThemedAdmin[M]):
    """A ModelAdmin with such a list.

    `search_exact` are fields compared whole, `search_names` those that hold names, and
    `search_starts` those of which the beginning is enough: all indexed (see the migrations that
    make trigram indexes). `list_lookups` are those that links to the list use, beside its filters'.
    """

    show_full_result_count = False
    list_per_page = PER_PAGE
    list_max_show_all = 0
    list_disable_select_all = True
    paginator = BoundedPaginator
    sortable_by = ()
    search_fields = ("id",)  # for Django's checks; `get_search_results` goes by those that follow
    search_exact: ClassVar[Sequence[str]] = ("id",)
    search_names: ClassVar[Sequence[str]] = ()
    list_lookups: ClassVar[Sequence[str]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list's class."""
        return BoundedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether a list may be narrowed so: only by its filters and by `list_lookups`.

        Django allows any lookup of any column: a secret could be asked for letter by letter, a
        pattern searched in every row, and a value be one that only the database refuses.
        """
        filters = self.get_list_filter(request)
        allowed = {
            f"{each}__exact" if isinstance(each, str) else getattr(each, "parameter_name", None)
            for each in filters
        }
        return lookup in allowed or lookup in self.list_lookups

    def search_conditions(self, term: str) -> list[Q]:
        """What each may match: every one is a query of its own on one index."""
        conditions = [Q(**{field: term}) for field in self.search_exact]
        if len(term) >= MIN_NAME:
            conditions += [Q(**{f"{field}__icontains": term}) for field in self.search_names]
        return conditions

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        """The newest rows that match, of those that the filters have left."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found: set[str] = set()
        rows = queryset.order_by("-pk").values_list("pk", flat=True)
        for condition in self.search_conditions(term):
            found.update(rows.filter(condition)[:MAX_FOUND])
        newest = sorted(found, reverse=True)
        if len(newest) >= MAX_FOUND:
            message = _("Many match: these are the newest %(count)d. Search for more of the name.")
            messages.warning(request, message % {"count": MAX_FOUND})
        return queryset.filter(pk__in=newest[:MAX_FOUND]), False


def found_names(queryset: QuerySet[Any], term: str) -> list[str]:
    """The ids of the newest rows of another table whose id or name is searched for."""
    rows = queryset.order_by("-pk").values_list("pk", flat=True)
    found = list(rows.filter(pk=term))
    if len(term) >= MIN_NAME:
        found += rows.filter(name__icontains=term)[:MAX_FOUND]
    return found


@dataclass(frozen=True)
class State:
    """A state that rows are in: what the URL, the page and the database call it."""

    value: str
    label: str | Promise
    condition: Callable[[], Q]


class StateFilter(admin.SimpleListFilter):
    """Narrows a list to one of its admin's `states`."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        self._conditions: dict[str, Q] = {s.value: s.condition() for s in model_admin.states}
        return [(state.value, state.label) for state in model_admin.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = self._conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class AgeFilter(admin.SimpleListFilter):
    """Narrows a list to what was made lately, by the time that its ids begin with."""

    title = gettext_lazy("made")
    parameter_name = "made"
    prefix: ClassVar[ids.Prefix]
    spans: ClassVar[dict[str, tuple[Promise | str, timedelta]]] = {
        "hour": (gettext_lazy("in the last hour"), timedelta(hours=1)),
        "day": (gettext_lazy("in the last 24 hours"), timedelta(days=1)),
        "week": (gettext_lazy("in the last 7 days"), timedelta(days=7)),
        "month": (gettext_lazy("in the last 30 days"), timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [(value, label) for value, (label, _span) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.spans:
            return queryset
        since: datetime = timezone.now() - self.spans[self.value() or ""][1]
        return queryset.filter(pk__gte=ids.first_at(self.prefix, since))


def made_lately(prefix: ids.Prefix) -> type[AgeFilter]:
    """The filter by age for a list of what has ids of that kind."""
    return type("AgeFilter", (AgeFilter,), {"prefix": prefix})
