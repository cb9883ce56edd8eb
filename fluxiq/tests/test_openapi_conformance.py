"""What the API really answers, held against the OpenAPI document."""

import json
import re
from typing import Any

from fluxiq.scopes import Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD, issue_key
from fluxiq.tests.openapi import faults, load, responses, strict


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
