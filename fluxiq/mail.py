"""Mail that nobody waits for: an answer's time must not tell whether a mail was sent."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

logger = logging.getLogger(__name__)

_senders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail")


def send(recipients: Sequence[str], subject: str, text: str) -> None:
    """Send once the transaction in hand commits, in the background where settings say so.

    A server that takes no mail is logged, and changes nothing else. Empty addresses are skipped.
    """
    addresses = sorted({address for address in recipients if address})
    if addresses:
        one_line = " ".join(subject.split())  # a name in it must not begin another header
        transaction.on_commit(lambda: _hand_over(addresses, one_line, text))


def _hand_over(addresses: list[str], subject: str, text: str) -> None:
    if settings.MAIL_IN_BACKGROUND:
        _senders.submit(_deliver, addresses, subject, text)
    else:
        _deliver(addresses, subject, text)


def _deliver(addresses: list[str], subject: str, text: str) -> None:
    try:
        for address in addresses:  # one each: recipients need not learn of each other
            EmailMessage(subject, text, to=[address]).send()
    except OSError as error:  # smtplib's own errors are OSErrors too
        logger.error("mail %r was not sent: %s", subject, type(error).__name__)
