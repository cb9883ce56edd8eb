"""A key that is used, and what the database counts of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from authn import usage
from authn.models import ApiKey
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def counted(api_key: ApiKey) -> list[tuple[int, int, int]]:
    """What the database counts: (admitted, refused, limited) by hour, oldest first."""
    return list(api_key.usage.values_list("admitted", "refused", "limited"))


class UsageTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, self.secret = issue_key(self.bakery)

    def use(self, *paths: str, times: int = 1, **extra: Any) -> list[int]:
        """Ask with the key, and return the statuses."""
        return [
            self.get(path, self.secret, **extra).status_code for path in paths for _ in range(times)
        ]

    def counted(self) -> list[tuple[int, int, int]]:
        """What the database counts for the key, once all is moved."""
        usage.flush()
        return counted(self.api_key)
