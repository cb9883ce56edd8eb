"""/api/v1/auth/verify: may this call pass?"""

from typing import Any

from authn.models import ApiKey
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import MembershipFactory, issue_key

EVERYTHING = (
    "accounts:read accounts:write pix:read pix:write transfers:read transfers:write"
    " transactions:read webhooks:read webhooks:write users:read users:write"
    " api_keys:read api_keys:write audit:read"
)


class VerifyTests(ApiTestCase):
    def verify(self, caller: Any, query: str = "", method: str = "GET", **extra: Any) -> Any:
        return self.call(method, f"/auth/verify{query}", caller, **extra)

    def headers(self, response: Any) -> dict[str, str]:
        """The X-Auth-* headers of a 200."""
        assert response.status_code == 200, response.content
        return {k: v for k, v in response.headers.items() if k.startswith("X-Auth-")}

    def test_a_key_is_told_by_its_id_merchant_and_permissions(self) -> None:
        api_key, secret = issue_key(self.bakery, "accounts:read", "pix:write")
        assert self.headers(self.verify(secret, "?permission=accounts:read")) == {
            "X-Auth-Kind": "api_key",
            "X-Auth-Subject": api_key.id,
            "X-Auth-Merchants": self.bakery.id,
            "X-Auth-Permissions": "accounts:read pix:write",
        }

    def test_a_users_wildcards_are_expanded(self) -> None:
        assert self.headers(self.verify(self.mario)) == {
            "X-Auth-Kind": "user",
            "X-Auth-Subject": self.mario.id,
            "X-Auth-Merchants": self.bakery.id,
            "X-Auth-Permissions": "accounts:read accounts:write pix:read pix:write"
            " transactions:read",
        }

    def test_merchants_are_those_where_every_permission_is_held(self) -> None:
        MembershipFactory.create(merchant=self.bookshop, user=self.mario, role=Role.OPERATOR)
        both = self.headers(self.verify(self.mario, "?permission=accounts:read"))
        assert set(both["X-Auth-Merchants"].split(",")) == {self.bakery.id, self.bookshop.id}
        assert both["X-Auth-Permissions"] == "accounts:read pix:write transactions:read"
        one = self.headers(self.verify(self.mario, "?permission=accounts:read&permission=pix:read"))
        assert one["X-Auth-Merchants"] == self.bakery.id

    def test_permissions_must_be_held_at_one_merchant_together(self) -> None:
        MembershipFactory.create(merchant=self.bakery, user=self.ana, role=Role.OPERATOR)
        query = f"?permission=pix:write&permission=users:read&merchant_id={self.bakery.id}"
        self.assert_forbidden(self.verify(self.ana, query), "users:read")

    def test_a_superuser_holds_everything_everywhere(self) -> None:
        told = self.headers(self.verify(self.root, "?permission=webhooks:write"))
        assert told["X-Auth-Merchants"] == "*"
        assert told["X-Auth-Permissions"] == EVERYTHING
        here = self.verify(self.root, f"?merchant_id={self.bakery.id}")
        assert self.headers(here)["X-Auth-Merchants"] == self.bakery.id

    def test_one_merchant_can_be_asked_about(self) -> None:
        query = f"?permission=pix:write&merchant_id={self.bakery.id}"
        assert self.headers(self.verify(self.otto, query))["X-Auth-Merchants"] == self.bakery.id

    def test_a_foreign_or_unknown_merchant_is_403(self) -> None:
        for merchant_id in (self.bookshop.id, "mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K", "x", "", "%00"):
            query = f"?permission=pix:write&merchant_id={merchant_id}"
            self.assert_forbidden(self.verify(self.otto, query), "pix:write")
            self.assert_forbidden(self.verify(self.otto, f"?merchant_id={merchant_id}"), None)
        unknown = "?permission=pix:write&merchant_id=mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"
        self.assert_forbidden(self.verify(self.root, unknown), "pix:write")

    def test_of_several_missing_the_first_is_named(self) -> None:
        query = "?permission=accounts:read&permission=webhooks:read&permission=users:read"
        self.assert_forbidden(self.verify(self.otto, query), "webhooks:read")

    def test_an_unknown_permission_is_400_and_never_passes(self) -> None:
        for name in (
            "nope",
            "*",
            "pix:*",
            "",
            "PIX:WRITE",
            "pix:write,pix:read",
            "%00",
            "pix:write ",
        ):
            self.assert_invalid(self.verify(self.root, f"?permission={name}"), "permission")
        mixed = "?permission=pix:write&permission=pixel:read"
        self.assert_invalid(self.verify(self.root, mixed), "permission")

    def test_several_merchants_are_400(self) -> None:
        query = f"?merchant_id={self.bakery.id}&merchant_id={self.bookshop.id}"
        self.assert_invalid(self.verify(self.otto, query), "merchant_id")

    def test_a_misspelt_parameter_is_400_and_never_passes(self) -> None:
        for query in ("permision=pix:write", "permission=pix:write&merchant=x", "Permission=x"):
            name = query.rpartition("&")[2].partition("=")[0]
            self.assert_invalid(self.verify(self.root, f"?{query}"), name)
        self.assert_invalid(self.verify(self.root, "?%ff=1&=2"), "", "\N{REPLACEMENT CHARACTER}")

    def test_a_token_in_the_query_is_refused_and_never_serves(self) -> None:
        _, secret = issue_key(self.bakery, "pix:write")
        for name in ("access_token", "token"):
            query = f"?permission=pix:write&{name}={secret}"
            self.assert_unauthorized(self.verify(None, query))
            refused = self.verify(secret, query)
            self.assert_invalid(refused, name)
            assert "Authorization" in self.error(refused, 400)["details"][name][0]
            assert secret.encode() not in refused.content

    def test_every_method_answers_alike(self) -> None:
        _, secret = issue_key(self.bakery, "pix:write")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            good = self.verify(secret, "?permission=pix:write", method)
            assert self.headers(good)["X-Auth-Kind"] == "api_key", method
            self.assert_forbidden(self.verify(secret, "?permission=pix:read", method), "pix:read")
            self.assert_unauthorized(self.verify(None, "?permission=pix:write", method))
            self.forget_counts()
        assert self.verify(secret, "?permission=pix:write", "HEAD").status_code == 200

    def test_an_options_with_a_browsers_headers_is_still_asked(self) -> None:
        preflight = {
            "HTTP_ORIGIN": "https://bank.example",
            "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET",
        }
        self.assert_unauthorized(self.verify(None, "", "OPTIONS", **preflight))

    def test_a_credential_in_the_url_is_none(self) -> None:
        _, secret = issue_key(self.bakery, "pix:write")
        for name in ("access_token", "token", "api_key", "authorization"):
            query = f"?permission=pix:write&{name}={secret}"
            self.assert_unauthorized(self.verify(None, query))

    def test_a_bad_credential_is_401_and_counts_to_the_address(self) -> None:
        response = self.verify("sk_live_" + "0" * 38, "?permission=nope")
        self.assert_unauthorized(response)
        assert response.headers["X-RateLimit-Limit"] == "10"

    def test_a_good_call_counts_to_the_caller(self) -> None:
        _, secret = issue_key(self.bakery, "pix:write")
        response = self.verify(secret, "?permission=pix:write")
        assert response.headers["X-RateLimit-Limit"] == "1000"
        assert response.headers["Cache-Control"] == "no-store"

    def test_whatever_a_browser_accepts_or_sends_it_is_answered(self) -> None:
        browser = {"HTTP_ACCEPT": "text/html", "content_type": "text/plain"}
        response = self.call("POST", "/auth/verify", self.otto, b"x" * 70_000, **browser)
        assert self.headers(response)["X-Auth-Kind"] == "user"

    def test_a_suspended_merchant_is_none(self) -> None:
        self.bakery.suspend()
        self.assert_forbidden(self.verify(self.otto, "?permission=pix:write"), "pix:write")
        assert self.headers(self.verify(self.otto))["X-Auth-Merchants"] == ""

    def test_a_service_key_has_its_one_permission_and_no_merchant(self) -> None:
        api_key, secret = ApiKey.objects.issue_service_key(name="pix service")
        told = self.headers(self.verify(secret, "?permission=tokens:introspect"))
        assert told["X-Auth-Subject"] == api_key.id
        assert told["X-Auth-Merchants"] == ""
        assert told["X-Auth-Permissions"] == "tokens:introspect"
        self.assert_forbidden(self.verify(secret, "?permission=pix:read"), "pix:read")

    def test_asking_about_others_tokens_is_held_by_service_keys_alone(self) -> None:
        asked, here = "permission=tokens:introspect", f"merchant_id={self.bakery.id}"
        _, secret = issue_key(self.bakery, *Scope)
        for caller in (self.root, self.olga, secret):
            for query in (asked, f"permission=pix:read&{asked}", f"{asked}&{here}"):
                self.assert_forbidden(self.verify(caller, f"?{query}"), "tokens:introspect")
            for query in ("", f"?{here}", "?permission=pix:read"):
                held = self.headers(self.verify(caller, query))["X-Auth-Permissions"]
                assert "introspect" not in held
        self.assert_forbidden(self.verify(self.sam, f"?{asked}"), "tokens:introspect")

    def test_every_scope_of_the_catalogue_can_be_asked_for(self) -> None:
        for scope in Scope:
            assert self.verify(self.olga, f"?permission={scope}").status_code == 200
