"""Serializers that refuse what they do not know, and fields that take a type or refuse it."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from fluxiq import names

UNKNOWN_FIELD = "Unknown field."


class StrictCharField(serializers.CharField):
    """Text as JSON text: DRF would take 12345678901 for "12345678901", and lose leading zeros.

    It is as long as it was sent, which is what the OpenAPI document speaks of; what is around it is
    taken off after.
    """

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return str(super().to_internal_value(data))


class NameField(StrictCharField):
    """A name (`fluxiq.names`), judged as it was sent, before what is around it is taken off."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=names.MAX_LENGTH, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            names.validate(data)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        return text


class StrictBooleanField(serializers.BooleanField):
    """A JSON true or false: DRF would take "yes", 1 and much else."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=type(data).__name__)
        return data


class StrictChoiceField(serializers.ChoiceField):
    """One of some words. DRF would quote whatever else was sent, however deep it is nested."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=type(data).__name__)
        return str(super().to_internal_value(data))


class StrictSerializer(serializers.Serializer[Any]):
    """A body: fields that it does not declare are refused, so that no misspelling is dropped."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = {str(name): [UNKNOWN_FIELD] for name in data if name not in self.fields}
            if unknown:
                raise serializers.ValidationError(unknown)
        return super().to_internal_value(data)


class WireDateTimeField(serializers.DateTimeField):
    """Times on the wire: UTC, whole seconds, `2026-02-03T12:00:00Z`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M:%SZ", **kwargs)
