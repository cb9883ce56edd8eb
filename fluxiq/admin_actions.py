"""What staff may do to objects beyond changing their fields, and what is asked of them then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class ObjectAction:
    """What staff may do to an object: from its page, or from the list to many.

    `perform` is given the object and the reason (empty unless `asks_reason`); it is called only
    for objects that it `applies_to`. `name` stands in the URL, `label` on the button, which is
    red where the action `withdraws` something. Whoever may change the object may do it, or, where
    a `permission` is named (`app.codename`), who has that.
    """

    name: str
    label: str | Promise
    explanation: str | Promise
    perform: Callable[[Any, str], object]
    applies_to: Callable[[Any], bool]
    asks_reason: bool = False
    withdraws: bool = True
    permission: str = ""


class Tool(NamedTuple):
    """A button above an object's form."""

    label: str | Promise
    url: str
    is_red: bool = False


class NoForm(forms.Form):
    """Nothing is asked but the confirmation."""


class ReasonForm(forms.Form):
    """Why, for the audit trail."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Kept in the audit trail."),
    )
