"""Mail that nobody waits for: an answer's time must not tell whether a mail was sent."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from fluxiq.background import Errands

logger = logging.getLogger(__name__)

MOST_WAITING = 1000  # mails and what may end in one, in each process

_errands = Errands("mail", most=MOST_WAITING)


def send(recipients: Sequence[str], subject: str, text: str) -> None:
    """Send once the transaction in hand commits, in the background where settings say so.

    A server that takes no mail is logged, and changes nothing else. Empty addresses are skipped.
    """
    addresses = sorted({address for address in recipients if address})
    if addresses:
        one_line = " ".join(subject.split())  # a name in it must not begin another header
        transaction.on_commit(partial(later, partial(_deliver, addresses, one_line, text)))


def later(work: Callable[[], object]) -> None:
    """Do what may end in a mail, in the background where settings say so: what it finds and does
    then takes no time of the answer. Where too much waits already it is logged, and not done."""
    if not settings.MAIL_IN_BACKGROUND:
        work()
    elif not _errands.hand_over(work):
        logger.error("a mail was not sent: %d wait already", MOST_WAITING)


def _deliver(addresses: list[str], subject: str, text: str) -> None:
    try:
        for address in addresses:  # one each: recipients need not learn of each other
            EmailMessage(subject, text, to=[address]).send()
    except OSError as error:  # smtplib's own errors are OSErrors too
        logger.error("mail %r was not sent: %s", subject, type(error).__name__)
