"""Make a Postman collection of the API."""

import json
from typing import Any

from fluxiq import commands
from fluxiq.collection import collection
from fluxiq.docs import document


class Command(commands.Command):
    """`make_collection > FILE`."""

    help = "Print a Postman collection of the API, which Bruno and Insomnia import too."
    requires_system_checks: list[str] = []  # it asks nothing of the deployment

    def perform(self, **options: Any) -> dict[str, Any]:
        return collection(json.loads(document()))

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(json.dumps(result, indent=2, ensure_ascii=False))
