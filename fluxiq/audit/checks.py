"""System checks of the trail's configuration."""

from typing import Any

from django.core import checks

from fluxiq import rings
from fluxiq.audit import ring


@checks.register(checks.Tags.security)
def check_audit_keys(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """The ring of audit keys can be used."""
    try:
        ring.ring()
    except rings.InvalidRing as error:
        hint = f"It is id:secret,… of {ring.MIN_KEY_BYTES} bytes or more, newest first."
        return [checks.Error(f"AUDIT_KEYS: {error}.", hint=hint, id="fluxiq.E012")]
    return []
