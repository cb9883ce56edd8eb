"""An event as its merchant's owners see it."""

from typing import Any

from rest_framework import serializers

from fluxiq.audit.models import AuditEvent
from fluxiq.serializers import WireDateTimeField

# Whose events tell a merchant what was done, and nothing about who of ours did it from where.
OURS = frozenset({"staff", "command", "system"})


class OutsiderField(serializers.CharField):
    """What is shown of merchants' people and of strangers, and empty of FluxiQ's own."""

    def get_attribute(self, instance: AuditEvent) -> Any:
        return "" if instance.actor_kind in OURS else super().get_attribute(instance)


class AuditEventSerializer(serializers.Serializer[Any]):
    """An event as shown."""

    id = serializers.CharField()
    kind = serializers.CharField()
    at = WireDateTimeField()
    actor_kind = serializers.CharField()
    actor_id = OutsiderField()
    merchant_id = serializers.CharField()
    object_id = serializers.CharField()
    address = OutsiderField()
    user_agent = OutsiderField()
    request_id = serializers.CharField()
    before = serializers.DictField()
    after = serializers.DictField()
