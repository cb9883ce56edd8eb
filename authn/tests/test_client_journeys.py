"""Clients on the real service: ours, and those that generators make of docs/openapi.json."""

import importlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from authn.client import ApiError, Client, Pair, SessionOver
from authn.tests import examples
from fluxiq.tests.engines import PROJECT, require
from fluxiq.tests.served import EMBEDDED, Service, serving

pytestmark = pytest.mark.engine

OPENAPI = PROJECT / "docs" / "openapi.json"
DEMO_BALANCES = [("Checking", "1520.75"), ("Reserve", "98000.00")]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service whose keys are at their limit soon, and off it soon."""
    limits = {
        "RATE_LIMIT_ANONYMOUS": "1000/m",
        "RATE_LIMIT_API_KEY": "3/s",
        "RATE_LIMIT_SERVICE_KEY": "3/s",
    }
    with serving(EMBEDDED, limits, workers=1) as running:
        yield running


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints. A failure shows what it said."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Generated:
    """The package that openapi-python-client makes, by what stands in it."""

    def __init__(self, package: ModuleType) -> None:
        self._name = package.__name__
        self.client = self.load("client")
        self.models = self.load("models")

    def load(self, module: str) -> Any:
        return importlib.import_module(f"{self._name}.{module}")

    def call(self, operation: str, client: Any, *arguments: Any, **options: Any) -> Any:
        """The detailed answer of an operation, named by its tag and its name."""
        return self.load(f"api.{operation}").sync_detailed(*arguments, client=client, **options)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    """The Python client, made now."""
    scratch = tmp_path_factory.mktemp("generated")
    config = scratch / "config.json"  # without its formatting: nobody reads it
    config.write_text('{"post_hooks": []}')
    program = Path(sys.executable).with_name("openapi-python-client")
    said = run(
        *(program, "generate", "--path", OPENAPI, "--output-path", scratch / "fluxiq_client"),
        *("--meta", "none", "--config", config, "--fail-on-warning"),
        cwd=scratch,
    )
    assert "Warning" not in said
    sys.path.insert(0, str(scratch))
    try:
        yield Generated(importlib.import_module("fluxiq_client"))
    finally:
        sys.path.remove(str(scratch))
        for name in [name for name in sys.modules if name.partition(".")[0] == "fluxiq_client"]:
            del sys.modules[name]


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Closes what is entered."""
    with ExitStack() as stack:
        yield stack


def test_a_generated_python_client_goes_the_whole_way(
    service: Service, generated: Generated, clients: ExitStack
) -> None:
    models, url = generated.models, service.gunicorn.url

    def authenticated(token: str) -> Any:
        client = generated.client.AuthenticatedClient(base_url=url, token=token)
        return clients.enter_context(client)

    anyone = clients.enter_context(generated.client.Client(base_url=url))
    body = models.LoginRequest(document="12345678901", password="not the password")
    refused = generated.call("authentication.login", anyone, body=body)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert refused.parsed.error.message == "Invalid document or password"
    body.password = "your-password"
    pair = generated.call("authentication.login", anyone, body=body).parsed.data

    ended = generated.call("authentication.get_me", authenticated("ended"))
    assert isinstance(ended.parsed, models.UnauthorizedBody)
    body = models.RefreshRequest(refresh_token=pair.refresh_token)
    pair = generated.call("authentication.refresh", anyone, body=body).parsed.data
    owner = authenticated(pair.access_token)
    me = generated.call("authentication.get_me", owner).parsed.data
    assert me.kind is models.CallerKind.USER
    merchant = me.memberships[0].merchant_id
    assert merchant == service.demo["merchant_id"]

    body = models.ApiKeyCreation(name="Generated", permissions=[models.Scope.ACCOUNTSREAD])
    issued = generated.call("api_keys.issue_api_key", owner, merchant, body=body).parsed.data
    key = authenticated(issued.key)
    answers = [generated.call("accounts.list_accounts", key, limit=10) for _ in range(8)]
    listed = next(one.parsed for one in answers if one.status_code == HTTPStatus.OK)
    assert sorted((one.name, one.balance) for one in listed.data) == DEMO_BALANCES
    limited = next(one for one in answers if one.status_code == HTTPStatus.TOO_MANY_REQUESTS)
    assert limited.parsed.error.code is models.ErrorCode.RATE_LIMITED
    assert limited.headers["Retry-After"] == str(limited.parsed.error.retry_after)
    time.sleep(limited.parsed.error.retry_after)
    again = generated.call("accounts.list_accounts", key)
    assert again.status_code == HTTPStatus.OK
    body = models.AccountCreation(name="Mine")
    forbidden = generated.call("accounts.create_account", key, body=body).parsed
    assert forbidden.error.required_permission == "accounts:write"

    assert generated.call("authentication.logout", owner).status_code == HTTPStatus.NO_CONTENT
    over = generated.call("authentication.get_me", owner)
    assert over.status_code == HTTPStatus.UNAUTHORIZED


def test_the_typescript_example_is_typed_by_the_document_and_goes_the_whole_way(
    service: Service, tmp_path: Path
) -> None:
    node = require(lambda: examples.node(examples.TYPESCRIPT))
    packages = examples.TYPESCRIPT / "node_modules"
    (tmp_path / "node_modules").symlink_to(packages)
    for name in ("client.ts", "journey.ts", "tsconfig.json", "package.json"):
        shutil.copy(examples.TYPESCRIPT / name, tmp_path)
    generator = packages / "openapi-typescript" / "bin" / "cli.js"
    run(node, generator, OPENAPI, "-o", "fluxiq.d.ts", cwd=tmp_path)
    run(node, packages / "typescript" / "bin" / "tsc", cwd=tmp_path)
    told = json.loads(run(node, "build/journey.js", service.gunicorn.url, cwd=tmp_path))

    assert told["refused"]["error"]["message"] == "Invalid document or password"
    assert told["memberships"] == [service.demo["merchant_id"]] * 4
    assert told["pairs"] == 2  # of the sign-in, and of the one refresh for four calls
    assert told["issued"].startswith("sk_live_…")
    assert told["limited"]["status"] == 429
    assert told["limited"]["header"] == str(told["limited"]["error"]["error"]["retry_after"])
    assert sorted(map(tuple, told["accounts"])) == DEMO_BALANCES
    assert told["forbidden"]["error"]["required_permission"] == "accounts:write"
    assert told["left"] == 204
    assert told["after"]["error"]["code"] == "UNAUTHORIZED"


class TestOurClient:
    def test_a_person_signs_in_works_and_signs_out(self, service: Service) -> None:
        kept: list[Any] = []
        with Client(service.gunicorn.url, keep=kept.append) as client:
            client.sign_in("123.456.789-01", "your-password")
            keys = f"/merchants/{service.demo['merchant_id']}/api-keys"
            issued = client.post(keys, {"name": "Till", "permissions": ["accounts:read"]})
            assert len(list(client.pages(keys, limit=2))) >= 3
            assert (
                client.patch(f"{keys}/{issued['id']}", {"name": "Shop till"})["name"] == "Shop till"
            )
            with Client(service.gunicorn.url, api_key=issued["key"]) as key:
                assert len(list(key.pages("/accounts", limit=1))) == 2
            client.delete(f"{keys}/{issued['id']}")
            client.sign_out()
            assert (client.pair, kept[-1]) == (None, None)
        with Client(service.gunicorn.url, pair=kept[0]) as client, pytest.raises(SessionOver):
            client.get("/auth/me")

    def test_a_kept_pair_goes_on_and_its_token_is_refreshed(self, service: Service) -> None:
        with Client(service.gunicorn.url) as first:
            first.sign_in("12345678901", "your-password")
            assert first.pair
            ended = Pair("ended", first.pair.refresh_token, 0)
        with Client(service.gunicorn.url, pair=ended) as second:
            assert second.get("/auth/me")["kind"] == "user"

    def test_a_wrong_password_is_401_and_no_session(self, service: Service) -> None:
        with Client(service.gunicorn.url) as client:
            with pytest.raises(ApiError, match="Invalid document or password"):
                client.sign_in("52998224725", "no password of his")
            assert client.pair is None
