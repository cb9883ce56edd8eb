"""Routes without parameters are resolved once, and nothing that a client makes up is kept."""

import io
import re
from typing import Any

import pytest

from fluxiq.wsgi import Handler


@pytest.fixture
def handler() -> Handler:
    return Handler()


def status(handler: Handler, path: str) -> int:
    answered: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }
    handler(environ, lambda line, headers: answered.append(line)).close()
    return int(re.findall(r"\d+", answered[0])[0])


def test_one_is_kept_and_answers_the_same_again(handler: Handler) -> None:
    assert [status(handler, "/healthz") for _ in range(3)] == [200] * 3
    assert list(handler._fixed_routes) == ["/healthz"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/nowhere", "/admin/nowhere", "/api/v1/merchants/mer_1", "/api/v1/nowhere"]
)
def test_one_with_parameters_or_none_at_all_is_not(handler: Handler, path: str) -> None:
    status(handler, path)
    assert handler._fixed_routes == {}
