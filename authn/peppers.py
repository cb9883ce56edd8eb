"""The pepper ring in force, under which keys are digested: API_KEY_PEPPERS, newest first."""

from functools import lru_cache

from django.conf import settings

from authn import keys


@lru_cache(maxsize=8)
def _parsed_peppers(text: str) -> tuple[keys.Pepper, ...]:
    return keys.parse_peppers(text)


def peppers() -> tuple[keys.Pepper, ...]:
    """The pepper ring of the settings in force, newest first."""
    return _parsed_peppers(settings.API_KEY_PEPPERS)


def bucket_of(secret: str) -> str:
    """Whose requests are counted, and remembered, together with those of this key's holder."""
    return peppers()[0].digest(secret).hex()
