"""What we serve is what others read: Authlib introspects; joserfc and Node's jose verify tokens."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from django.test import override_settings
from joserfc import jwt as joserfc
from joserfc.jwk import KeySet

from authn.client import Refused
from authn.client.jwks import TokenVerifier
from authn.tests import examples
from authn.tests.tokens import BACKEND, PRIVATE, pem
from fluxiq.tests.engines import require
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving

pytestmark = pytest.mark.engine

RING = [f"{alg.lower()}-1:{alg}:{pem(private)}" for alg, private in PRIVATE.items()]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service whose ring has a key of each kind; the first signs."""
    with serving(EMBEDDED, {**NO_LIMITS, "JWT_SIGNING_KEYS": ",".join(RING)}, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(service: Service) -> dict[str, str]:
    """An access token of the owner signed by each key, as after rotations of the ring."""
    signed = {"ES256": service.sign_in()["access_token"]}
    claims = jwt.decode(signed["ES256"], options={"verify_signature": False})
    for turn, algorithm in ((1, "EdDSA"), (2, "RS256")):
        with override_settings(JWT_SIGNING_KEYS=",".join(RING[turn:] + RING[:turn])):
            signed[algorithm] = BACKEND.encode(claims)
    return signed


def test_authlib_introspects_with_a_service_key(service: Service, tokens: dict[str, str]) -> None:
    service_key = service.manage("issue_api_key", "--service", "--name", "pix service").strip()
    url = service.gunicorn.url + "/api/v1/auth/introspect"

    def with_the_service_key(client: Any, method: str, uri: str, headers: Any, body: Any) -> Any:
        return uri, {**headers, "Authorization": f"Bearer {service_key}"}, body

    with OAuth2Client(token_endpoint_auth_method=with_the_service_key) as client:

        def introspect(token: str) -> Any:
            response = client.introspect_token(url, token, token_type_hint="access_token")
            assert response.status_code == 200, response.text
            assert response.headers["Cache-Control"] == "no-store"
            return response.json()

        for token in tokens.values():
            told = introspect(token)
            claims = jwt.decode(token, options={"verify_signature": False})
            assert told["active"] is True
            assert (told["sub"], told["exp"]) == (claims["sub"], claims["exp"])
            assert "pix:write" in told["scope"].split()
        assert introspect(service.demo["key"])["kind"] == "api_key"
        assert introspect("rubbish") == {"active": False}


# RFC 9864 names the curves apart; `EdDSA` is what most libraries still write and read.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
def test_joserfc_verifies_by_the_published_keys(service: Service, tokens: dict[str, str]) -> None:
    keys = KeySet.import_key_set(httpx.get(service.gunicorn.url + "/.well-known/jwks.json").json())
    registry = joserfc.JWTClaimsRegistry(
        iss={"essential": True, "value": "fluxiq"},
        aud={"essential": True, "value": "fluxiq"},
        exp={"essential": True},
    )
    for algorithm, token in tokens.items():
        decoded = joserfc.decode(token, keys, algorithms=[algorithm])
        registry.validate(decoded.claims)
        assert decoded.header["typ"] == "at+jwt"
        assert decoded.claims["token_type"] == "access"


def test_nodes_jose_verifies_by_the_published_keys(
    service: Service, tokens: dict[str, str]
) -> None:
    program = require(examples.node)
    head, payload, signature = tokens["ES256"].split(".")
    broken = [f"{head}.{payload}.{signature[::-1]}", service.sign_in()["refresh_token"], "x"]
    done = subprocess.run(
        [program, "verify-token.js"],
        cwd=examples.EXPRESS,
        env={"FLUXIQ_AUTH_URL": service.gunicorn.url},
        input="\n".join([*tokens.values(), *broken]) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["algorithm"] for one in told[:3]] == list(tokens)
    assert all(one["claims"]["iss"] == "fluxiq" for one in told[:3])
    assert [list(one) for one in told[3:]] == [["refused"]] * 3


def test_our_own_verifier_reads_them_and_cannot_see_a_sign_out(
    service: Service, tokens: dict[str, str]
) -> None:
    verifier = TokenVerifier(service.gunicorn.url)
    for token in tokens.values():
        assert verifier.verify(f"Bearer {token}").subject.startswith("usr_")
    pair = service.sign_in(1)
    with pytest.raises(Refused):
        verifier.verify(f"Bearer {pair['refresh_token']}")
    assert service.call("POST", "/api/v1/auth/logout", pair["access_token"]).status == 204
    assert service.call("GET", "/api/v1/auth/me", pair["access_token"]).status == 401
    # The trade-off that its page states.
    assert verifier.verify(f"Bearer {pair['access_token']}").subject.startswith("usr_")
