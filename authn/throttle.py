"""How often a secret may be guessed, and a mailbox be mailed. Contract, sections 3 and 6.

An attempt is reserved before any hashing and given back unless it fails, so that parallel
guesses cannot slip by. Giving back is counting in a second bucket of the same window: what has
failed is what was reserved less what was given back.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from django.conf import settings
from django.utils import timezone
from django.utils.encoding import punycode

from accounts import documents, hashers
from accounts.models import User, normalise_document
from authn import ratelimit
from authn.ratelimit import Bucket
from fluxiq import metrics, origin
from fluxiq.addresses import counting_identity
from fluxiq.audit import models as audit
from fluxiq.errors import RateLimited, Unauthorized
from fluxiq.limits import Usage

PAIR_LIMIT, PAIR_WINDOW = 5, 15 * 60  # 5 failures in 15 minutes, one document from one address
DOCUMENT_LIMIT, DOCUMENT_WINDOW = 50, 60 * 60  # 50 failures in an hour, one document from anywhere
KNOWN_ADDRESS_AGE = timedelta(days=30)
LOOKED_AT = 500  # of a person's latest sign-ins, for one from the same IPv6 network

# 5 wrong codes in 15 minutes, one user, over all challenges and addresses: a guess has a chance of
# 3 in a million, and who guesses has the password already.
CODE_LIMIT, CODE_WINDOW = 5, 15 * 60

MAILBOX_LIMIT, MAILBOX_WINDOW = 3, 24 * 60 * 60  # 3 invitations a day, over all merchants

# 10 tries a minute at the console's sign-in, one address over all documents, whether they succeed
# or not. The API's own sign-in counts in the bucket of its anonymous requests.
CONSOLE, CONSOLE_LIMIT, CONSOLE_WINDOW = "console-sign-in", 10, 60


def _subject(document: str) -> str:
    """What one document counts as, however it is written; no document counts as itself."""
    try:
        return normalise_document(document)
    except documents.InvalidDocument:
        return document


def _hidden(owner: str) -> str:
    """A name for the owner of a bucket: no document or mailbox stands in a cache."""
    return hmac.digest(settings.SECRET_KEY.encode(), owner.encode(), "sha256").hex()


class Attempt:
    """One reserved attempt at the secret of a document, from the address of the work in hand."""

    def __init__(self, document: str) -> None:
        self._document = _subject(document)
        self._address = origin.current().address
        pair = f"{self._document} {counting_identity(self._address)}"
        self._buckets = (
            Bucket("signin-pair", _hidden(pair), PAIR_LIMIT, PAIR_WINDOW),
            Bucket("signin-document", _hidden(self._document), DOCUMENT_LIMIT, DOCUMENT_WINDOW),
        )

    def reserve(self) -> None:
        """Count the attempt. Raises RateLimited where it is one too many."""
        pair, document = (_reserve(bucket) for bucket in self._buckets)
        if pair.is_exceeded:
            self.give_back()
            raise RateLimited(pair)
        if document.is_exceeded and not self._is_known_address():
            self.give_back()
            raise RateLimited(document)

    def give_back(self) -> None:
        """Take the attempt out of the count again: it was no failure."""
        for bucket in self._buckets:
            ratelimit.count(_returns(bucket))

    def _is_known_address(self) -> bool:
        """Whether this document signed in from here lately, so that a stranger's guesses do not
        lock its owner out. `Here` is what counts as one client: of IPv6, a network."""
        since = timezone.now() - KNOWN_ADDRESS_AGE
        user = User.objects.for_document(self._document)
        if user is None:
            return False
        at_the_console = audit.AuditEvent.objects.since(since).filter(
            kind=audit.Kind.STAFF_SIGNED_IN, object_id=user.id
        )
        sign_ins = (user.sessions.filter(created_at__gte=since), at_the_console)
        if any(found.filter(address=self._address).exists() for found in sign_ins):
            return True
        here = counting_identity(self._address)
        if here == self._address:  # of IPv4
            return False
        latest = (
            address
            for found in sign_ins
            for address in found.order_by("-pk").values_list("address", flat=True)[:LOOKED_AT]
        )
        return any(counting_identity(address) == here for address in latest)


def count_console_sign_in() -> None:
    """Count a try at the console's sign-in to its address. Raises RateLimited where it is one too
    many, and ServiceUnavailable where this machine cannot count."""
    address = counting_identity(origin.current().address)
    usage = ratelimit.count(Bucket(CONSOLE, address, CONSOLE_LIMIT, CONSOLE_WINDOW))
    metrics.bucket_counted(usage.bucket, usage.is_exceeded)
    if usage.is_exceeded:
        raise RateLimited(usage)


class CodeAttempt:
    """One reserved attempt at the second factor of a user, wherever it comes from."""

    def __init__(self, user_id: str) -> None:
        self._bucket = Bucket("second-factor", user_id, CODE_LIMIT, CODE_WINDOW)
        self.is_last = False

    def reserve(self) -> None:
        """Count the attempt. Raises RateLimited where it is one too many."""
        reserved = _reserve(self._bucket)
        if reserved.is_exceeded:
            self.give_back()
            raise RateLimited(reserved)
        self.is_last = reserved.count == CODE_LIMIT

    def give_back(self) -> None:
        """Take the attempt out of the count again: it was no failure."""
        ratelimit.count(_returns(self._bucket))


def count_invitation_mail(address: str) -> None:
    """Count an invitation that is to be mailed. Raises RateLimited where it is one too many.

    What a client varies and still reaches the same mailbox counts as one: case, a tag after `+`
    (RFC 5233) and the spelling of an international domain.
    """
    local, _, domain = address.rpartition("@")
    mailbox = f"{local.partition('+')[0]}@{punycode(domain)}".casefold()
    bucket = Bucket("invitation-mail", _hidden(mailbox), MAILBOX_LIMIT, MAILBOX_WINDOW)
    counted = ratelimit.count(bucket)
    if counted.is_exceeded:
        raise RateLimited(counted)


def _reserve(bucket: Bucket) -> Usage:
    """Count an attempt: what failed in the window, or is under way, this one included.

    What was given back is asked first: then each of it was reserved before this attempt, and is in
    the count that it is taken from. Asked after, it would hold what was reserved later and refused,
    and many at once would let one more through. Of an older window it is not taken at all.
    """
    returned = ratelimit.count(_returns(bucket), increment=False)
    reserved = ratelimit.count(bucket)
    is_of_this_window = reserved.reset - returned.reset < bucket.window // 2
    failures = reserved.count - (returned.count if is_of_this_window else 0)
    usage = Usage(bucket.kind, bucket.limit, failures, bucket.window, reserved.reset)
    metrics.bucket_counted(bucket.kind, usage.is_exceeded)
    return usage


def _returns(bucket: Bucket) -> Bucket:
    return Bucket(f"{bucket.kind}-returned", bucket.owner, bucket.limit, bucket.window)


@contextmanager
def attempt(document: str) -> Iterator[None]:
    """Guard a block that tries the password of a document.

    Leaving it by Unauthorized is a failure, else none. Before the block, raises RateLimited where
    too many failed, and ServiceUnavailable where the password could not be hashed now.
    """
    hashers.refuse_if_full()  # what is refused anyway costs no trips to the counters
    with _guarded(Attempt(document)):
        yield


@contextmanager
def code_attempt(user_id: str) -> Iterator[CodeAttempt]:
    """Guard a block that tries the second factor of a user, as `attempt` does; gives the attempt,
    which knows whether it is the last of its window."""
    with _guarded(CodeAttempt(user_id)) as reserved:
        yield reserved


Reservable = TypeVar("Reservable", Attempt, CodeAttempt)


@contextmanager
def _guarded(reserved: Reservable) -> Iterator[Reservable]:
    reserved.reserve()
    try:
        yield reserved
    except Unauthorized:
        raise
    except BaseException:
        reserved.give_back()
        raise
    reserved.give_back()
