"""The caller once more, under a lock.

A request is judged by what its caller held when it arrived. Before it writes, the caller is read
again, in the transaction that writes and with the credential's row locked. Whatever ends a
credential locks that row too, so the request either comes first or is refused.
"""

from collections.abc import Callable

from django.conf import settings
from django.utils.module_loading import import_string

from fluxiq.principals import Principal


def reauthenticate(principal: Principal) -> Principal:
    """The same caller as the database has them now; their credential is locked until the end of the
    transaction. Raises Unauthorized where it ended meanwhile.

    Reading it takes tables of a higher floor, whose function `settings.REAUTHENTICATE` names.
    """
    read: Callable[[Principal], Principal] = import_string(settings.REAUTHENTICATE)
    return read(principal)
