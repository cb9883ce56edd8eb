"""System checks: what would fail, or fail open, later is refused at the start."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.cache import caches
from django.db import DatabaseError

from authn import keys, signing_keys
from authn.mfa import sealing
from authn.models import ApiKey, TotpFactor
from authn.peppers import peppers
from fluxiq.counters import EmbeddedCounters, SharedCounters


@checks.register(checks.Tags.security)
def check_signing_keys(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """The ring of signing keys can be used."""
    try:
        signing_keys.ring()
    except signing_keys.InvalidSigningKeys as error:
        hint = "JWT_SIGNING_KEYS is kid:secret,… with at least 32 bytes each, newest first."
        return [checks.Error(f"JWT_SIGNING_KEYS: {error}.", hint=hint, id="fluxiq.E001")]
    return []


@checks.register(checks.Tags.security)
def check_peppers(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """The ring of peppers can be used."""
    try:
        peppers()
    except keys.InvalidPeppers as error:
        hint = f"It is id:secret,… of {keys.MIN_PEPPER_BYTES} bytes or more, newest first."
        return [checks.Error(f"API_KEY_PEPPERS: {error}.", hint=hint, id="fluxiq.E002")]
    return []


@checks.register(checks.Tags.security)
def check_sealing_keys(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """The ring that seals second factors can be used."""
    try:
        sealing.sealing_keys()
    except sealing.InvalidSealingKeys as error:
        hint = f"It is id:secret,… of {sealing.MIN_KEY_BYTES} bytes or more, newest first."
        return [checks.Error(f"MFA_KEYS: {error}.", hint=hint, id="fluxiq.E010")]
    return []


@checks.register(checks.Tags.security, deploy=True)
def check_second_factor_is_required(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Who can do most proves more than a password."""
    required = {
        "MFA_REQUIRED_FOR_STAFF": ("The staff console opens", "fluxiq.W010"),
        "MFA_REQUIRED_FOR_SUPERUSERS": ("Superusers get tokens", "fluxiq.W011"),
    }
    return [
        checks.Warning(f"{what} with a password alone.", hint=f"Turn {name} on.", id=check_id)
        for name, (what, check_id) in required.items()
        if not getattr(settings, name)
    ]


@checks.register(checks.Tags.caches)
def check_counters(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """What counts requests is exact and shared by the workers (django-ratelimit's E003, W001)."""
    backend = caches[settings.RATELIMIT_USE_CACHE]
    if isinstance(backend, EmbeddedCounters | SharedCounters):
        return []
    hint = "Use fluxiq.counters.SharedCounters (REDIS_URL) or EmbeddedCounters."
    return [
        checks.Error(
            f"{type(backend).__name__} does not count exactly over several workers.",
            hint=hint,
            id="fluxiq.E003",
        )
    ]


@checks.register(checks.Tags.database)
def check_peppers_of_live_keys(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """No live key stands under a pepper that was taken out. Runs with `check --database`."""
    if not databases or "default" not in databases:
        return []
    try:
        counted = ApiKey.objects.live().per_pepper()
        known = {pepper.id for pepper in peppers()}
    except (DatabaseError, keys.InvalidPeppers):
        return []  # not migrated yet; the ring's own check tells the other
    return [
        checks.Error(
            f"{count} live API keys stand under the pepper {pepper_id}, which is gone.",
            hint=f"Put {pepper_id} back into API_KEY_PEPPERS, or revoke those keys.",
            id="fluxiq.E004",
        )
        for pepper_id, count in sorted(counted.items())
        if pepper_id not in known
    ]


@checks.register(checks.Tags.database)
def check_keys_of_second_factors(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """No second factor is sealed under a key that was taken out. Runs with `check --database`."""
    if not databases or "default" not in databases:
        return []
    try:
        counted = TotpFactor.objects.confirmed().per_key()
        known = {key.id for key in sealing.sealing_keys()}
    except (DatabaseError, sealing.InvalidSealingKeys):
        return []  # not migrated yet; the ring's own check tells the other
    return [
        checks.Error(
            f"{count} second factors are sealed under the key {key_id}, which is gone.",
            hint=f"Put {key_id} back into MFA_KEYS, or reset those factors.",
            id="fluxiq.E011",
        )
        for key_id, count in sorted(counted.items())
        if key_id not in known
    ]
