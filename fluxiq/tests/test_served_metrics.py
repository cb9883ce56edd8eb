"""`/metrics` over four real workers: exact, also after one is killed, and never open."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from fluxiq.tests.engines import PROJECT, free_port
from fluxiq.tests.scraped import Samples, get, samples, value
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

VERIFY = "/api/v1/auth/verify"
TOKEN = "metrics-token-of-a-served-test"
WORKERS = 4
OBSERVABILITY = PROJECT / "deploy" / "observability"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(port: int) -> Iterator[Service]:
    environment = {
        **NO_LIMITS,
        "METRICS_PORT": str(port),
        "METRICS_TOKEN": TOKEN,
        "LOG_FORMAT": "json",
        "LOG_REQUESTS": "on",
    }
    with serving(SERVERS, environment, workers=WORKERS) as service:
        yield service


def scrape(port: int) -> Samples:
    status, text = get(port, TOKEN)
    assert status == 200, text
    return samples(text)


def verified(found: Samples, **labels: str) -> float:
    return value(found, "fluxiq_requests_total", route=VERIFY, **labels)


def test_n_requests_are_n_whoever_answers_and_whoever_is_killed(
    service: Service, port: int
) -> None:
    token = service.sign_in()["access_token"]
    before = scrape(port)

    def ask(number: int) -> int:
        return service.call("GET", VERIFY, token if number % 4 else None).status

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, range(400)))
    assert (answers.count(200), answers.count(401)) == (300, 100)
    # Whichever worker answers the scrape, it knows what all of them counted.
    for _ in range(6):
        found = scrape(port)
        assert verified(found, status="200", kind="user") - verified(before) == 300
        assert verified(found, status="401", kind="anonymous") == 100
        assert value(found, "fluxiq_rate_limit_total", bucket="user", result="allowed") == 300
    for killed in sorted(service.gunicorn.workers())[:2]:
        os.kill(killed, signal.SIGKILL)

    def are_replaced() -> bool:
        found = scrape(port)
        assert verified(found, status="200", kind="user") == 300
        assert verified(found, status="401", kind="anonymous") == 100
        return value(found, "fluxiq_workers_started_total") == WORKERS + 2

    wait_until(are_replaced, "the workers' replacement", pause=0.1)
    assert value(scrape(port), "fluxiq_workers") == WORKERS
    assert ask(1) == 200
    assert verified(scrape(port), status="200", kind="user") == 301


def test_nothing_is_told_to_who_has_no_token(service: Service, port: int) -> None:
    own = service.gunicorn.port
    for where in (port, own):
        for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
            status, text = get(where, token)
            assert (status, "fluxiq_" in text) == (401, False), (where, token)
        assert get(where, TOKEN)[0] == 200
    assert get(port, TOKEN, "/healthz")[0] == 404
    assert get(port, TOKEN, VERIFY)[0] == 404


def test_no_answer_is_stored_or_taken_for_what_it_is_not(service: Service, port: int) -> None:
    for where in (port, service.gunicorn.port):
        for token, status in ((None, 401), (TOKEN, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            url = f"http://127.0.0.1:{where}/metrics"
            answer = httpx.get(url, headers=headers if token else {})
            assert answer.status_code == status
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_the_parts_tell_of_themselves_is_there(service: Service, port: int) -> None:
    service.sign_in()
    time.sleep(1.2)  # a worker looks at its pool each second
    found = scrape(port)
    assert value(found, "fluxiq_database_pool_max") == WORKERS * 5
    assert 1 <= value(found, "fluxiq_database_pool_size") <= WORKERS * 5
    assert value(found, "fluxiq_database_pool_waiting") == 0
    assert value(found, "fluxiq_counting_duration_seconds_count", place="server") > 0
    assert value(found, "fluxiq_hashing_wait_seconds_count") > 0
    assert value(found, "fluxiq_sign_ins_total", result="succeeded") > 0
    for part in ("counters", "database"):
        assert value(found, "fluxiq_degraded", part=part) == 0
    assert value(found, "fluxiq_breaker_open") == 0
    assert value(found, "fluxiq_audit_unsealed_events") >= 0


def expressions() -> list[str]:
    """Every expression of the dashboard, and the whole text of the rules."""
    dashboard: dict[str, Any] = json.loads((OBSERVABILITY / "dashboard.json").read_text())
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(drawn) > 20
    asked = [variable["query"]["query"] for variable in dashboard["templating"]["list"][1:]]
    return [*drawn, *asked, (OBSERVABILITY / "rules.yaml").read_text()]


def test_every_metric_that_is_drawn_or_watched_is_served(service: Service, port: int) -> None:
    found = scrape(port)
    for expression in expressions():
        for name in re.findall(r"\bfluxiq_[a-z_]+", expression):
            assert name in found, f"{name} in: {expression}"
        for name, label in re.findall(r"\b(fluxiq_[a-z_]+)\{[^}]*?\b(\w+)=", expression):
            labels = {label for given, _ in found[name] for label in given} | {"instance"}
            assert label in labels, f"{label} of {name} in: {expression}"


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        assert "CI" not in os.environ, "promtool is missing (Debian: apt install prometheus)"
        pytest.skip("no promtool (Debian: apt install prometheus)")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "rules.yaml"),
        ("test", "rules", "rules.test.yaml"),
        ("check", "config", "prometheus.yaml"),
    ],
)
def test_promtool_finds_no_fault_in_the_files(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool(), *arguments], cwd=OBSERVABILITY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_no_fault_in_what_is_served(service: Service, port: int) -> None:
    done = subprocess.run(
        [promtool(), "check", "metrics"],
        input=get(port, TOKEN)[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_log_line_is_json_and_tells_of_its_request(service: Service, port: int) -> None:
    answer = service.call("GET", VERIFY, service.demo["key"])
    assert answer.status == 200
    lines = [json.loads(line) for line in service.gunicorn.log().splitlines()]
    (line,) = (line for line in lines if line.get("request_id") == answer.headers["x-request-id"])
    assert line["logger"] == "fluxiq.requests"
    assert (line["status"], line["route"], line["method"]) == (200, VERIFY[1:], "GET")
    assert line["principal"] == answer.headers["x-auth-subject"]
    assert line["principal_kind"] == "api_key"
    assert line["merchant"] == service.demo["merchant_id"]
    assert service.demo["key"] not in service.gunicorn.log()
