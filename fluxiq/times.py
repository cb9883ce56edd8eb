"""Moments as the staff console writes them: where staff are, in their language."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format


def moment(at: datetime | None) -> str:
    """A moment to the minute, or a dash for none."""
    return "-" if at is None else date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")
