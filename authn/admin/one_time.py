"""Forms that can be sent once: a page that shows a secret must not mint another when reloaded."""

import secrets

from django.http import HttpRequest

from authn import ratelimit
from authn.ratelimit import Bucket

_OPEN_FORMS = "issue_key_forms"  # in the session: the one-time numbers of the forms shown
_MAX_OPEN_FORMS = 10
_ONE_HOUR = 60 * 60


def open_form(request: HttpRequest) -> str:
    """A new number for a form, with which it can be sent once."""
    number = secrets.token_urlsafe(16)
    kept = request.session.get(_OPEN_FORMS, [])[1 - _MAX_OPEN_FORMS :]
    request.session[_OPEN_FORMS] = [*kept, number]
    return number


def close_form(request: HttpRequest) -> bool:
    """Spend the number of the form sent. False where it is spent already, or not ours.

    Of two requests at the same moment both find it in the session; the counter admits one.
    """
    number = request.POST.get("form_number", "")
    open_forms = request.session.get(_OPEN_FORMS, [])
    if number not in open_forms:
        return False
    request.session[_OPEN_FORMS] = [n for n in open_forms if n != number]
    return not ratelimit.count(Bucket("issue-key-form", number, 1, _ONE_HOUR)).is_exceeded
