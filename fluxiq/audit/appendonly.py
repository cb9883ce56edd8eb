"""Tables that are only added to. The database's triggers refuse the rest; this says so sooner."""

from typing import Any, NoReturn, TypeVar

from django.db import models

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class AppendOnlyError(TypeError):
    """An attempt to change or remove what is only added to."""


class AppendOnlyQuerySet(models.QuerySet[M_co]):
    """Refuses what would rewrite history; the rows are for reading and adding."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("rows of the audit trail cannot be changed")

    def delete(self) -> NoReturn:
        raise AppendOnlyError("rows of the audit trail cannot be removed")

    def bulk_create(
        self, objs: Any, batch_size: int | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Add many. Raises AppendOnlyError for options, which would let conflicts pass."""
        if args or kwargs:
            raise AppendOnlyError("rows of the audit trail can only be added")
        return super().bulk_create(objs, batch_size)


class AppendOnlyModel(models.Model):
    """A row that is added once and read ever after. Its `objects` are of an AppendOnlyQuerySet."""

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the row. Raises AppendOnlyError for one that was read from the table, and
        IntegrityError for one whose primary key stands there already."""
        if not self._state.adding:
            raise AppendOnlyError("rows of the audit trail cannot be changed")
        super().save(force_insert=True, using=kwargs.get("using"))

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("rows of the audit trail cannot be removed")
