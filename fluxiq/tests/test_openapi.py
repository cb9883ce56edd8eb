"""The OpenAPI document: whole, valid, the committed one, and what the API really does."""

import copy
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.test import SimpleTestCase
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

from authn.models import ApiKey
from fluxiq.docs import document
from fluxiq.http import Credential
from fluxiq.scopes import Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD, issue_key
from fluxiq.views import ApiView

Json = dict[str, Any]

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


def load() -> Json:
    """The document as clients read it."""
    loaded: Json = json.loads(document())
    return loaded


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


def operations(spec: Json) -> Iterator[tuple[str, Json]]:
    """Every operation, with its method and path to name it by."""
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def responses(spec: Json, operation: Json) -> dict[str, Json]:
    """The responses of an operation by status, references followed."""
    return {
        status: spec["components"]["responses"][response["$ref"].rpartition("/")[2]]
        if "$ref" in response
        else response
        for status, response in operation["responses"].items()
    }


def bodies(spec: Json, operation: Json) -> Iterator[Json]:
    """Every body that an operation reads or answers, as media type objects."""
    for holder in (operation.get("requestBody", {}), *responses(spec, operation).values()):
        yield from holder.get("content", {}).values()


def faults(spec: Json, schema: Json, value: Any) -> list[str]:
    """What is wrong with a value, against a schema of the document."""
    validator = OAS31Validator(
        {**schema, "components": spec["components"]}, format_checker=oas31_format_checker
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def strict(spec: Json) -> Json:
    """The document, taken at its word: a field that it does not know is a fault."""
    spec = copy.deepcopy(spec)
    for schema in spec["components"]["schemas"].values():
        for part in (schema, *schema.get("properties", {}).values()):
            if "properties" in part:
                part.setdefault("additionalProperties", False)
    return spec


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


class ConformanceTests(ApiTestCase):
    """Real answers, held against the document."""

    def conforms(self, response: Any, status: int) -> Any:
        """The body of an answer with that status, which is as documented."""
        assert response.status_code == status, response.content
        path = "/" + re.sub(r"<str:(\w+)>", r"{\1}", response.resolver_match.route)
        method = response.wsgi_request.method.lower()
        spec = strict(load())
        documented = responses(spec, spec["paths"][path][method])
        name = f"{method} {path} {status}"
        assert str(status) in documented, name
        missing = documented[str(status)]["headers"].keys() - response.headers.keys()
        assert not missing, f"{name} has no {missing}"
        if not response.content:
            assert "content" not in documented[str(status)], name
            return None
        kind = response.headers["Content-Type"].partition(";")[0]
        value = json.loads(response.content)
        wrong = faults(spec, documented[str(status)]["content"][kind]["schema"], value)
        assert not wrong, f"{name}: {wrong}"
        return value

    def test_a_sign_in_conforms_with_all_that_follows_it(self) -> None:
        body = {"document": self.olga.document, "password": PASSWORD}
        pair = self.conforms(self.post("/auth/login", body=body), 200)["data"]
        body = {"refresh_token": pair["refresh_token"]}
        pair = self.conforms(self.post("/auth/refresh", body=body), 200)["data"]
        token = pair["access_token"]
        self.conforms(self.get("/auth/me", token), 200)
        sessions = self.conforms(self.get("/auth/sessions", token), 200)["data"]
        assert len(sessions) == 1
        self.conforms(self.post("/auth/introspect", token, {"token": token}), 200)
        self.conforms(self.post("/auth/logout", token), 204)

    def test_the_life_of_a_key_conforms(self) -> None:
        keys = f"/merchants/{self.bakery.id}/api-keys"
        body = {"name": "Till", "permissions": [Scope.ACCOUNTS_READ]}
        issued = self.conforms(self.post(keys, self.olga, body), 201)["data"]
        one = f"{keys}/{issued['id']}"
        self.conforms(self.get("/auth/me", issued["key"]), 200)
        self.conforms(self.get(f"{keys}?limit=1", self.olga), 200)
        self.conforms(self.get(one, self.olga), 200)
        self.conforms(self.patch(one, self.olga, {"allowed_ips": ["203.0.113.7"]}), 200)
        self.conforms(self.post(f"{one}/rotate", self.olga), 201)
        self.conforms(self.post(f"{one}/rotate", self.olga), 409)
        self.conforms(self.delete(one, self.olga), 204)
        self.conforms(self.patch(one, self.olga, {"name": "Dead"}), 409)

    def test_accounts_and_merchants_conform(self) -> None:
        opened = self.conforms(self.post("/accounts", self.olga, {"name": "Safe"}), 201)["data"]
        self.conforms(self.get("/accounts", self.olga), 200)
        self.conforms(self.get(f"/accounts/{opened['id']}", self.olga), 200)
        one = f"/accounts/{opened['id']}"
        self.conforms(self.patch(one, self.olga, {"status": "closed"}), 200)
        self.conforms(self.patch(one, self.olga, {"status": "active"}), 409)
        self.conforms(self.get("/merchants", self.otto), 200)
        self.conforms(self.get(f"/merchants/{self.bakery.id}", self.otto), 200)

    def test_the_life_of_a_membership_conforms(self) -> None:
        body = {"document": "98765432100", "name": "Nina", "role": "operator"}
        invited = self.conforms(self.post("/users", self.olga, body), 201)["data"]
        self.conforms(self.post("/users", self.olga, body), 409)
        acceptance = {
            "invitation": invited["invitation"],
            "document": body["document"],
            "password": PASSWORD,
        }
        self.conforms(self.post("/auth/invitations/accept", body=acceptance), 200)
        self.conforms(self.post("/auth/invitations/accept", body=acceptance), 401)
        one = f"/users/{invited['id']}"
        self.conforms(self.get(one, self.olga), 200)
        self.conforms(self.get("/users", self.olga), 200)
        self.conforms(self.patch(one, self.olga, {"status": "inactive"}), 200)
        self.conforms(self.delete(one, self.olga), 204)

    def test_what_gateways_ask_conforms(self) -> None:
        _, key = issue_key(self.bakery, Scope.PIX_WRITE)
        self.conforms(self.get("/auth/verify?permission=pix:write", key), 200)
        self.conforms(self.get("/auth/verify?permission=users:write", key), 403)
        self.conforms(self.get("/auth/verify?permission=pix:fly", key), 400)
        self.conforms(self.post("/auth/introspect", key, {"token": key}), 200)
        self.conforms(self.post("/auth/introspect", key, {"token": "unknown"}), 200)
        self.conforms(self.post("/auth/revoke", body={"token": key}), 200)
        self.conforms(self.get("/auth/verify", key), 401)

    def test_refusals_conform_to_the_document(self) -> None:
        wrong = {"document": self.olga.document, "password": "not the password"}
        self.conforms(self.post("/auth/login", body=wrong), 401)
        self.conforms(self.post("/auth/login", body={"document": "1", "passwort": "x"}), 400)
        self.conforms(self.get("/accounts"), 401)
        reset = {"token": "of no link", "new_password": "correct horse battery"}
        self.conforms(self.post("/auth/password/reset", body=reset), 401)
        self.conforms(self.get("/users", self.otto), 403)
        self.conforms(self.get("/accounts?limit=0", self.olga), 400)
        self.conforms(self.get(f"/accounts/{self.shelf.id}", self.olga), 404)
        self.conforms(self.get(f"/accounts?merchant_id={self.bookshop.id}", self.olga), 404)
        self.conforms(self.post("/accounts", self.olga, "{"), 400)
        self.conforms(self.get("/accounts", self.olga, HTTP_ACCEPT="text/csv"), 406)
        self.conforms(self.post("/accounts", self.olga, content_type="text/csv"), 415)
        self.conforms(self.post("/accounts", self.olga, " " * 65537), 413)
        keys = f"/merchants/{self.bakery.id}/api-keys"
        self.conforms(self.get(keys, issue_key(self.bakery)[1]), 403)

    def test_a_refusal_for_too_many_requests_conforms(self) -> None:
        for _ in range(10):
            self.get("/accounts")
        self.conforms(self.get("/accounts"), 429)
