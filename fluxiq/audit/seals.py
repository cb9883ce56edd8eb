"""What makes the trail a chain: seals, checkpoints, and what is still to be sealed."""

from django.db import models

from fluxiq import ids
from fluxiq.audit.appendonly import AppendOnlyModel, AppendOnlyQuerySet

DIGEST_LENGTH = 32
KEY_ID_LENGTH = 32


class Seal(AppendOnlyModel):
    """One link: a code over an event and the link before it. Positions have no gap, from 1 on."""

    position = models.BigIntegerField(primary_key=True)
    event_id = models.CharField(max_length=ids.LENGTH, unique=True)
    key_id = models.CharField(max_length=KEY_ID_LENGTH)
    sealed_at = models.DateTimeField()
    digest = models.BinaryField(max_length=DIGEST_LENGTH)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta(AppendOnlyModel.Meta):
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.position}: {self.event_id}"


class PendingEvent(models.Model):
    """An event without a seal, noted by a trigger in the transaction that wrote the event.

    A queue, and not a search for what has no seal: the search would read the whole trail, or miss
    an event whose transaction took long.
    """

    event_id = models.CharField(primary_key=True, max_length=ids.LENGTH)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.event_id


class Checkpoint(AppendOnlyModel):
    """A place in the chain up to which everything was exported, under a code of its own."""

    position = models.BigIntegerField(primary_key=True)
    before = models.BinaryField(max_length=DIGEST_LENGTH)  # the digest of the link before
    digest = models.BinaryField(max_length=DIGEST_LENGTH)
    exported_at = models.DateTimeField()
    key_id = models.CharField(max_length=KEY_ID_LENGTH)
    mac = models.BinaryField(max_length=DIGEST_LENGTH)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta(AppendOnlyModel.Meta):
        default_permissions = ()

    def __str__(self) -> str:
        return f"exported to {self.position}"


class Prune(AppendOnlyModel):
    """Leave to remove what is below a checkpoint: the triggers ask for it, and so does whoever
    verifies what is left."""

    checkpoint = models.OneToOneField(Checkpoint, primary_key=True, on_delete=models.PROTECT)
    at = models.DateTimeField()
    key_id = models.CharField(max_length=KEY_ID_LENGTH)
    mac = models.BinaryField(max_length=DIGEST_LENGTH)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta(AppendOnlyModel.Meta):
        default_permissions = ()

    def __str__(self) -> str:
        return f"pruned below {self.checkpoint_id}"


class Tally(models.Model):
    """How often something happened within a minute that is not worth an event each time."""

    kind = models.CharField(max_length=40)
    minute = models.DateTimeField()
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64)
    merchant_id = models.CharField(max_length=ids.LENGTH)
    object_id = models.CharField(max_length=ids.LENGTH)
    detail = models.CharField(max_length=64)
    address = models.CharField(max_length=45)  # the last one's
    count = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=[
                    "minute",
                    "kind",
                    "actor_kind",
                    "actor_id",
                    "merchant_id",
                    "object_id",
                    "detail",
                ],
                name="one_tally_per_minute_and_subject",
            ),
        )

    def __str__(self) -> str:
        return f"{self.count} of {self.kind} at {self.minute:%Y-%m-%d %H:%M}"


class TallyHour(models.Model):
    """How often it happened within an hour, whoever it was: what its events add up to.

    For figures, which would else read an event for each user and minute.
    """

    kind = models.CharField(max_length=40)
    hour = models.DateTimeField()
    count = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["kind", "hour"], name="one_tally_per_kind_and_hour"),
        )

    def __str__(self) -> str:
        return f"{self.count} of {self.kind} in the hour of {self.hour:%Y-%m-%d %H:%M}"
