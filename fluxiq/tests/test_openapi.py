"""The OpenAPI document: whole, valid, the committed one, and of every route."""

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import SimpleTestCase
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from authn.models import ApiKey
from fluxiq.docs import document
from fluxiq.http import Credential
from fluxiq.tests.openapi import bodies, faults, load, operations, responses, strict
from fluxiq.views import ApiView

pytestmark = pytest.mark.once

API_ROOT = "/api/v1/"
COMMITTED = settings.BASE_DIR / "docs" / "openapi.json"
EVERY_HEADER = {
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
    "X-Request-ID",
}


def routed(
    patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "/"
) -> Iterator[tuple[str, str, type[ApiView]]]:
    """Every (path, method, view) below `/api/v1/` that the URLconf knows.

    A method that is answered by the very function of GET is no operation of its own.
    """
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routed(pattern.url_patterns, path)
        elif path.startswith(API_ROOT):
            view: type[ApiView] = pattern.callback.cls  # type: ignore[attr-defined]
            for method in ("get", "post", "put", "patch", "delete"):
                function = getattr(view, method, None)
                is_get = method != "get" and function is getattr(view, "get", None)
                if function is not None and not is_get:
                    yield re.sub(r"<str:(\w+)>", r"{\1}", path), method, view


class DocumentTests(SimpleTestCase):
    """What must be true of the document by itself."""

    def setUp(self) -> None:
        self.spec = load()

    def test_the_committed_copy_is_the_generated_document(self) -> None:
        committed = COMMITTED.read_bytes() if COMMITTED.exists() else b""
        assert committed == document(), "docs/openapi.json is out of date: run `make schema`"

    def test_the_command_writes_the_same_document_and_has_nothing_to_warn_of(self) -> None:
        written = io.StringIO()
        call_command(
            "spectacular", format="openapi-json", validate=True, fail_on_warn=True, stdout=written
        )
        assert written.getvalue().strip() == document().decode()

    def test_it_is_valid_openapi_3_1(self) -> None:
        from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - see `openapi`

        assert self.spec["openapi"].startswith("3.1.")
        OpenAPIV31SpecValidator(self.spec).validate()

    def test_what_may_be_null_is_told_as_3_1_tells_it(self) -> None:
        assert '"nullable"' not in document().decode()
        expiry = self.spec["components"]["schemas"]["ApiKey"]["properties"]["expires_at"]
        assert expiry["type"] == ["string", "null"]

    def test_every_routed_operation_is_documented_and_no_other(self) -> None:
        documented = {(p, method) for p, item in self.spec["paths"].items() for method in item}
        assert documented == {(path, method) for path, method, _ in routed()}

    def test_every_documented_path_resolves(self) -> None:
        for path in self.spec["paths"]:
            assert resolve(re.sub(r"\{\w+\}", "x", path)).route

    def test_every_operation_has_a_name_of_its_own_a_summary_and_a_description(self) -> None:
        names = [operation["operationId"] for _, operation in operations(self.spec)]
        assert len(names) == len(set(names))
        for name, operation in operations(self.spec):
            assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), name
            assert operation["summary"], name
            assert operation["description"], name

    def test_every_operation_stands_under_a_tag_that_is_described(self) -> None:
        tags = {tag["name"] for tag in self.spec["tags"] if tag["description"]}
        for name, operation in operations(self.spec):
            assert len(operation["tags"]) == 1, name
            assert set(operation["tags"]) <= tags, name

    def test_every_operation_can_answer_429_and_500_and_503(self) -> None:
        for name, operation in operations(self.spec):
            assert {"429", "500", "503"} <= operation["responses"].keys(), name

    def test_every_response_describes_the_limit_headers(self) -> None:
        for name, operation in operations(self.spec):
            for status, response in responses(self.spec, operation).items():
                assert response["headers"].keys() >= EVERY_HEADER, f"{name} {status}"

    def test_a_429_tells_when_to_come_back_and_a_401_what_to_send(self) -> None:
        shared = self.spec["components"]["responses"]
        assert "Retry-After" in shared["RateLimited"]["headers"]
        assert "WWW-Authenticate" in shared["Unauthorized"]["headers"]
        login = self.spec["paths"]["/api/v1/auth/login"]["post"]
        assert "WWW-Authenticate" in login["responses"]["401"]["headers"]

    def test_every_operation_that_needs_a_credential_says_so_and_no_other(self) -> None:
        headers = {Credential.REQUIRED, Credential.EVEN_EXPIRED}
        for path, method, view in routed():
            security = self.spec["paths"][path][method].get("security", [])
            needed = bool(security) and {} not in security
            assert needed is (view.credential in headers), f"{method} {path}"

    def test_a_permission_that_a_view_declares_is_named_in_words_and_with_the_credential(
        self,
    ) -> None:
        for path, method, view in routed():
            operation, name = self.spec["paths"][path][method], f"{method} {path}"
            permission = view.required_permissions[method.upper()]
            expected = [] if permission is None else [str(permission)]
            for accepted in operation.get("security", []):
                assert all(scopes == expected for scopes in accepted.values()), name
            if permission is not None:
                assert f"Requires `{permission}`." in operation["description"], name

    def test_a_key_is_offered_only_where_a_key_serves(self) -> None:
        schemes = {
            operation["operationId"]: {name for way in operation["security"] for name in way}
            for _, operation in operations(self.spec)
            if "security" in operation
        }
        assert schemes["listAccounts"] == {"accessToken", "apiKey"}
        assert schemes["verify"] == {"accessToken", "apiKey"}
        assert schemes["issueApiKey"] == {"accessToken"}
        assert schemes["logout"] == {"accessToken"}

    def test_a_failed_sign_in_has_a_message_of_its_own(self) -> None:
        login = self.spec["paths"]["/api/v1/auth/login"]["post"]
        example = login["responses"]["401"]["content"]["application/json"]["example"]
        assert example["error"]["message"] == "Invalid document or password"
        me = responses(self.spec, self.spec["paths"]["/api/v1/auth/me"]["get"])
        example = me["401"]["content"]["application/json"]["example"]
        assert example["error"]["message"] == "Invalid or expired authentication token"

    def test_the_source_documents_examples_stand_in_it(self) -> None:
        def example(path: str, *keys: str) -> Any:
            found: Any = self.spec["paths"][path]["post"]
            for key in (*keys, "content", "application/json", "example"):
                found = found[key]
            return found

        assert example("/api/v1/auth/login", "requestBody") == {
            "document": "12345678901",
            "password": "your-password",
        }
        assert example("/api/v1/auth/login", "responses", "200")["data"]["expires_in"] == 900
        keys = "/api/v1/merchants/{merchant_id}/api-keys"
        assert example(keys, "requestBody") == {
            "name": "Production Key",
            "permissions": ["accounts:read", "pix:write", "transfers:write"],
        }
        issued = example(keys, "responses", "201")["data"]
        assert issued["key"] == "sk_live_abc123def456ghi789"
        assert self.spec["components"]["responses"]["RateLimited"]["content"]["application/json"][
            "example"
        ] == {
            "error": {
                "code": "RATE_LIMITED",
                "message": "Rate limit exceeded. Retry after 30 seconds",
                "retry_after": 30,
            }
        }

    def test_every_body_has_an_example_and_every_example_fits_its_schema(self) -> None:
        spec = strict(self.spec)
        for name, operation in operations(spec):
            for body in bodies(spec, operation):
                named = body.get("examples", {})
                examples = [value["value"] for value in named.values()] or [body["example"]]
                for example in examples:
                    assert not faults(spec, body["schema"], example), f"{name}: {example}"

    def test_every_field_is_described_and_its_examples_fit_it(self) -> None:
        envelopes = {"data", "meta", "error", "code"}
        for name, schema in self.spec["components"]["schemas"].items():
            for field, said in schema.get("properties", {}).items():
                where = f"{name}.{field}: say what it is in fluxiq.schema.fields.FIELDS"
                assert "description" in said or field in envelopes, where
                for example in said.get("examples", ()):
                    assert not faults(self.spec, said, example), where

    def test_every_parameter_is_described(self) -> None:
        for name, operation in operations(self.spec):
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], f"{name} {parameter['name']}"

    def test_an_identifier_in_a_path_shows_its_prefix(self) -> None:
        prefixes = {
            "merchant_id": "^mer_",
            "key_id": "^key_",
            "account_id": "^acc_",
            "membership_id": "^mbr_",
            "session_id": "^ses_",
        }
        for name, operation in operations(self.spec):
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in prefixes:
                    pattern = parameter["schema"]["pattern"]
                    assert pattern.startswith(prefixes[parameter["name"]]), name

    def test_the_scopes_are_those_that_can_be_granted_each_described(self) -> None:
        scope = self.spec["components"]["schemas"]["Scope"]
        assert tuple(scope["enum"]) == ApiKey.GRANTABLE
        assert all(f"`{granted}`" in scope["description"] for granted in ApiKey.GRANTABLE)

    def test_a_body_that_we_read_refuses_unknown_fields(self) -> None:
        for name, operation in operations(self.spec):
            for media in operation.get("requestBody", {}).get("content", {}).values():
                schema = media["schema"]["$ref"].rpartition("/")[2]
                body = self.spec["components"]["schemas"][schema]
                assert body["additionalProperties"] is False, name

    def test_verify_describes_its_headers_and_repeats_its_permission(self) -> None:
        verify = self.spec["paths"]["/api/v1/auth/verify"]["get"]
        assert verify["responses"]["200"]["headers"].keys() >= {
            "X-Auth-Kind",
            "X-Auth-Subject",
            "X-Auth-Merchants",
            "X-Auth-Permissions",
        }
        permission = next(p for p in verify["parameters"] if p["name"] == "permission")
        assert permission["schema"]["type"] == "array"
        assert "404" not in verify["responses"]

    def test_tokens_may_be_sent_as_a_form_where_the_rfcs_say_so(self) -> None:
        for path in ("/api/v1/auth/introspect", "/api/v1/auth/revoke"):
            body = self.spec["paths"][path]["post"]["requestBody"]
            assert set(body["content"]) == {"application/json", "application/x-www-form-urlencoded"}

    def test_an_answer_of_204_has_no_body(self) -> None:
        emptied = [o for _, o in operations(self.spec) if "204" in o["responses"]]
        assert emptied
        assert not any("content" in operation["responses"]["204"] for operation in emptied)
