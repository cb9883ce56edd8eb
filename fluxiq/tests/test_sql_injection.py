"""What anybody sends stands in no statement's text: it goes to the database as a value."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.test import override_settings

from authn.models import ApiKey
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key
from fluxiq.tests.openapi import load, operations
from merchants.models import PaymentAccount

MARK = "DROP TABLE accounts_user"  # of the payload, what no quoting changes
PAYLOAD = f"""x'"); {MARK}; --"""
LISTS = (
    *("accounts/user", "auth/group", "authn/apikey", "authn/session", "audit/auditevent"),
    *("merchants/merchant", "merchants/paymentaccount"),
)


class Statements:
    """What the database was asked while a test watched."""

    def __init__(self) -> None:
        self.with_it: list[str] = []  # in their text
        self.given_it = 0  # as a value

    def watch(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if MARK in sql:
            self.with_it.append(sql)
        self.given_it += MARK in repr(params)
        return execute(sql, params, many, context)


@override_settings(RATE_LIMIT_JWT=(100_000, 60), RATE_LIMIT_ANONYMOUS=(100_000, 60))
class SqlInjectionTests(ConsoleTestCase):
    @contextmanager
    def watched(self, at_least: int) -> Iterator[None]:
        """No statement has it in its text; it is given to so many as a value."""
        seen = Statements()
        with connection.execute_wrapper(seen.watch):
            yield
        assert seen.with_it == []
        assert seen.given_it >= at_least, seen.given_it

    def test_wherever_an_operation_of_the_api_takes_a_text(self) -> None:
        spec = load()
        headers = dict.fromkeys(
            ("HTTP_USER_AGENT", "HTTP_X_REQUEST_ID", "HTTP_IDEMPOTENCY_KEY"), PAYLOAD
        )
        with self.watched(at_least=1):
            for name, operation in operations(spec):
                method, _, path = name.partition(" ")
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        path = path.replace(f"{{{parameter['name']}}}", quote(PAYLOAD, safe=""))
                asked = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
                query = "&".join(f"{field}={quote(PAYLOAD)}" for field in asked)
                content = operation.get("requestBody", {}).get("content", {})
                body = dict.fromkeys(self.properties(spec, content), PAYLOAD)
                response = self.call(
                    method, f"{path.removeprefix('/api/v1')}?{query}", self.olga, body, **headers
                )
                assert response.status_code < 500, (name, response.content)

    @staticmethod
    def properties(spec: dict[str, Any], content: dict[str, Any]) -> list[str]:
        schema = content.get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return list(schema.get("properties", {}))

    def test_in_what_is_kept_as_it_was_typed(self) -> None:
        keys = f"/merchants/{self.bakery.id}/api-keys"
        person = {"document": "39053344705", "name": PAYLOAD, "role": "operator"}
        with self.watched(at_least=4):
            opened = self.data(self.post("/accounts", self.olga, {"name": PAYLOAD}), 201)
            body = {"name": PAYLOAD, "permissions": ["pix:read"]}
            issued = self.data(self.post(keys, self.olga, body), 201)
            self.data(self.post("/users", self.olga, person), 201)
            for path in (f"/accounts/{self.till.id}", f"{keys}/{issued['id']}"):
                self.data(self.call("PATCH", path, self.olga, {"name": PAYLOAD}))
        assert PaymentAccount.objects.get(pk=opened["id"]).name == PAYLOAD
        assert ApiKey.objects.get(pk=issued["id"]).name == PAYLOAD

    def test_in_what_the_console_searches_filters_and_sorts_by(self) -> None:
        self.enter(self.root)
        with self.watched(at_least=len(LISTS)):
            for page in LISTS:
                self.look(f"{page}/", q=PAYLOAD)
                for field in ("o", "p", "state", "use", "merchant", "owner", "made", "kind", "all"):
                    response = self.client.get(f"/admin/{page}/", {field: PAYLOAD})
                    assert response.status_code in (200, 302, 400), (page, field)

    def test_in_what_staff_type(self) -> None:
        self.enter(self.root)
        api_key, _secret = issue_key(self.bakery)
        with self.watched(at_least=2):
            self.send(f"authn/apikey/{api_key.pk}/change/", name=PAYLOAD, rate_limit="")
            self.send(f"authn/apikey/{api_key.pk}/revoke/", confirmed="yes", reason=PAYLOAD)
        api_key.refresh_from_db()
        assert (api_key.name, api_key.revoked_reason) == (PAYLOAD, PAYLOAD)
