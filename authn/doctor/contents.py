"""What the doctor finds in the database and the rings: keys, peppers, people, the audit trail."""

from datetime import timedelta

from django.utils import timezone
from ulid import ULID

from accounts.models import User
from authn import keys, signing_keys
from authn.doctor.findings import Findings, bad, doubtful, ok
from authn.mfa import sealing
from authn.models import ApiKey, TotpFactor
from authn.peppers import peppers
from authn.tokens import REFRESH_LIFETIME
from fluxiq import rings
from fluxiq.audit import ring as audit_ring
from fluxiq.audit.models import PendingEvent, Seal

COUNTED_TO = 100_000
# Workers seal each second; a tally's time is its minute's beginning.
SLOW_SEAL = timedelta(minutes=2)


def examine_signing_keys() -> Findings:
    """Which keys sign and verify tokens."""
    try:
        ring = signing_keys.ring()
    except signing_keys.InvalidSigningKeys:
        return  # the system checks tell
    first, *older = [key.kid for key in ring]
    yield ok("signing keys", f"{first} signs" + (f", {', '.join(older)} verify" if older else ""))
    if older:
        days = REFRESH_LIFETIME.days
        yield ok("signing keys", f"an older one can go {days} days after a newer one came first")


def examine_people() -> Findings:
    """Whether anybody can open the console."""
    if User.objects.filter(is_superuser=True, is_active=True).exists():
        return
    hint = "Make one: python manage.py create_user DOCUMENT --name N --superuser"
    yield doubtful("people", "there is no superuser, and so nobody to open the console", hint)


def _ring_in_use(
    topic: str, variable: str, ids: list[str], counts: dict[str, int], noun: str
) -> Findings:
    """What still stands under each of a ring. (What is missing from it, the checks tell.)"""
    for number, name in enumerate(ids):
        count = counts.get(name, 0)
        if number == 0:
            yield ok(topic, f"{name} is the newest: {count} {noun} under it")
        elif count:
            yield ok(topic, f"{name} is still needed: {count} {noun} under it")
        else:
            yield ok(topic, f"{name} is needed no more", f"It can be taken out of {variable}.")


def examine_peppers() -> Findings:
    """Which peppers are still needed."""
    try:
        ids = [pepper.id for pepper in peppers()]
    except keys.InvalidPeppers:
        return  # the system checks tell
    counts = ApiKey.objects.live().per_pepper()
    yield from _ring_in_use("peppers", "API_KEY_PEPPERS", ids, counts, "live keys")


def examine_mfa_keys() -> Findings:
    """Which keys of second factors are still needed."""
    try:
        ids = [key.id for key in sealing.sealing_keys()]
    except sealing.InvalidSealingKeys:
        return  # the system checks tell
    counts = TotpFactor.objects.confirmed().per_key()
    yield from _ring_in_use("MFA keys", "MFA_KEYS", ids, counts, "second factors")


def examine_trail() -> Findings:
    """Whether the trail can be verified, and is sealed in time."""
    try:
        known = audit_ring.by_id()
    except rings.InvalidRing:
        return  # the system checks tell
    # The ends of the chain alone: a look at each link is verify_audit_log's.
    seals = Seal.objects.order_by("position").values_list("key_id", flat=True)
    ends = [end for end in (seals.first(), seals.last()) if end is not None]
    for name in sorted(set(ends) - known.keys()):
        hint = f"Put {name} back into AUDIT_KEYS: without it the trail cannot be verified."
        yield bad("audit trail", f"the chain has seals under {name}, which is gone", hint)
    waiting = PendingEvent.objects.order_by("pk")
    oldest = waiting.values_list("pk", flat=True).first()
    if oldest is None:
        yield ok("audit trail", "every event is sealed")
        return
    count = waiting[:COUNTED_TO].count()
    age = timezone.now() - ULID.from_str(oldest.partition("_")[2]).datetime
    text = f"{count} events wait for their seal, the oldest of {age.total_seconds():.0f} s ago"
    if age > SLOW_SEAL:
        hint = (
            "The workers seal each second: is one running? Or run: python manage.py seal_audit_log"
        )
        yield doubtful("audit trail", text, hint)
    else:
        yield ok("audit trail", text)
