"""No usable secret in any table, file, cache or log: planted ones are searched for everywhere."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from fluxiq.tests.served import EMBEDDED, ENGINES, NO_LIMITS, Service, serving

pytestmark = pytest.mark.engine

API = "/api/v1"
PASSWORD = "canary password of its own"


def plant(service: Service) -> dict[str, str]:
    """Use every kind of secret there is, well and badly, and return them by what they are."""
    pair = service.sign_in()
    token = pair["access_token"]
    renewed = service.call(
        "POST", f"{API}/auth/refresh", None, {"refresh_token": pair["refresh_token"]}
    )
    keys = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
    issued = service.call(
        "POST", keys, token, {"name": "Canary", "permissions": ["accounts:read"]}
    ).json["data"]
    rotated = service.call("POST", f"{keys}/{issued['id']}/rotate", token).json["data"]
    invited = service.call(
        "POST",
        f"{API}/users",
        token,
        {"document": "86288366757", "name": "Ines", "role": "operator", "email": "i@x.example"},
    ).json["data"]
    accepted = {
        "invitation": invited["invitation"],
        "document": "86288366757",
        "password": PASSWORD,
    }
    assert service.call("POST", f"{API}/auth/invitations/accept", None, accepted).status == 200
    secrets = {
        "access token": token,
        "refresh token": pair["refresh_token"],
        "renewed access token": renewed.json["data"]["access_token"],
        "renewed refresh token": renewed.json["data"]["refresh_token"],
        "API key": issued["key"],
        "rotated API key": rotated["key"],
        "issued by command": service.manage(
            "issue_api_key", service.demo["merchant_id"], "--name", "c", "--permission", "pix:read"
        ).strip(),
        "invitation": invited["invitation"],
        "password": PASSWORD,
    }
    for secret in secrets.values():
        service.call("GET", f"{API}/accounts", secret)
        service.call("POST", f"{API}/auth/introspect", issued["key"], {"token": secret})
        service.call(
            "POST", f"{API}/auth/login", None, {"document": secret[:60], "password": secret}
        )
        service.call("POST", f"{API}/auth/login", None, {"pasword": secret})
        service.call("POST", f"{API}/auth/refresh", None, {"refresh_token": secret})
    return secrets


def tables(service: Service) -> Iterator[tuple[str, str]]:
    """Every table of the service's database, as text."""
    url = service.environment["DATABASE_URL"]
    if url.startswith("sqlite"):
        with sqlite3.connect(urlsplit(url).path) as embedded:
            names = embedded.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            for (name,) in names:
                yield name, repr(embedded.execute(f'SELECT * FROM "{name}"').fetchall())
        return
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in found:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))
            yield name, repr(connection.execute(query).fetchall())


def cached(service: Service) -> Iterator[tuple[str, str]]:
    """What the counters hold: the files of this machine, and the server's keys and values."""
    for path in Path(service.environment["COUNTERS_PATH"]).parent.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes().decode("latin-1")
    if service.environment["REDIS_URL"]:
        server = redis.Redis.from_url(service.environment["REDIS_URL"])
        for key in server.scan_iter():
            value = server.hgetall(key) if server.type(key) == b"hash" else server.get(key)
            yield f"cached {key!r}", repr((key, value))


@pytest.mark.parametrize("engines", ENGINES)
def test_no_planted_secret_is_found_anywhere(engines: str) -> None:
    with serving(engines, NO_LIMITS, workers=2) as service:
        secrets = plant(service)
        places = [*tables(service), *cached(service), ("the log", service.gunicorn.log())]
        assert len(places) > 15
        assert any(name.startswith("cached") for name, _ in places) or engines == EMBEDDED
    log = re.sub(r"(?s)Subject:.*?-{70,}\n", "", places[-1][1])  # mail, printed on a local run
    for what, secret in secrets.items():
        needles = [secret, *secret.split(".")[-1:]]
        for name, text in [*places[:-1], ("the log", log)]:
            for needle in needles:
                assert needle not in text, f"{what} stands in {name}"
