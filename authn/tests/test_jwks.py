"""GET /.well-known/jwks.json: public keys, and how long they may be kept."""

import json
from typing import Any

from django.test import Client, override_settings

from authn.tests.tokens import PRIVATE, pem

PATH = "/.well-known/jwks.json"
RING = ",".join(f"{alg.lower()}-1:{alg}:{pem(private)}" for alg, private in PRIVATE.items())


def get(ring: str = RING, method: str = "get", **headers: str) -> Any:
    with override_settings(JWT_SIGNING_KEYS=ring):
        return getattr(Client(), method)(PATH, headers=headers)


def test_public_keys_are_published_and_nothing_private() -> None:
    response = get()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    keys = json.loads(response.content)["keys"]
    assert [(key["kid"], key["alg"], key["use"]) for key in keys] == [
        ("es256-1", "ES256", "sig"), ("eddsa-1", "EdDSA", "sig"), ("rs256-1", "RS256", "sig"),
    ]  # fmt: skip
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert not any(private & set(key) for key in keys)


def test_shared_secrets_are_not_published() -> None:
    response = get(f"k1:{'s' * 40}")
    assert json.loads(response.content) == {"keys": []}


def test_it_may_be_kept_for_as_long_as_a_new_key_waits() -> None:
    assert get().headers["Cache-Control"] == "public, max-age=300"


def test_who_has_it_already_is_told_so() -> None:
    etag = get().headers["ETag"]
    again = get(**{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
    assert again.headers["Cache-Control"] == "public, max-age=300"


def test_a_changed_ring_is_another_document() -> None:
    etag = get().headers["ETag"]
    fewer = get(RING.partition(",")[2], **{"If-None-Match": etag})
    assert fewer.status_code == 200
    assert fewer.headers["ETag"] != etag


def test_head_has_the_same_headers() -> None:
    whole, head = get(), get(method="head")
    assert head.content == b""
    for name in ("Cache-Control", "Content-Type"):
        assert head.headers[name] == whole.headers[name]


def test_nothing_can_be_sent_there() -> None:
    assert get(method="post").status_code == 405
