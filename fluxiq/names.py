"""Names: of people, merchants, accounts and keys. What one may hold, and how to show one.

A name is shown in mails, in the console and on terminals, beside text that people trust. So it is
one line that reads as it is stored: no control characters (C0, DEL, C1), no line or paragraph
separator, none of Unicode's marks, overrides and isolates of direction (UAX #9), and at least one
character that is visible.
"""

import re
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy

MAX_LENGTH = 100

_BREAKING = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
# Spaces, joiners, fillers and variation selectors: nothing is seen of a name of these only.
_INVISIBLE = (
    r"\u0020\u00a0\u00ad\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202f"
    r"\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
# The rule as the OpenAPI document states it. It is within what Python and ECMAScript both read, so
# surrogates and the tag characters beyond U+FFFF are not in it.
PATTERN = f"^[^{_BREAKING}]*[^{_BREAKING}{_INVISIBLE}][^{_BREAKING}]*$"

_BREAKS = re.compile(f"[{_BREAKING}\ud800-\udfff]")
_SEEN = re.compile(f"[^{_INVISIBLE}\U000e0000-\U000e0fff]")

BREAKS = "A name holds no control characters, line breaks or marks that turn the text around."
UNSEEN = "A name holds at least one visible character."


def validate(name: str) -> None:
    """A field validator, of Django and of DRF. Raises ValidationError."""
    if _BREAKS.search(name):
        raise ValidationError(gettext_lazy(BREAKS), code="name_breaks")
    if not _SEEN.search(name):
        raise ValidationError(gettext_lazy(UNSEEN), code="name_unseen")


def shown(text: str) -> str:
    """Any text as it may stand in a mail: on one line, in the direction of what is around it.

    Names that were stored before they were validated, and what clients call themselves, pass
    through here.
    """
    return _BREAKS.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:  # at run time it takes no type argument
    _CharField = models.CharField


class NameField(_CharField):
    """The column of a name. To migrations it is a CharField: the database holds no such rule."""

    default_validators = [validate]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """As of the CharField that it is to the database."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs
