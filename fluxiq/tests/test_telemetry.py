"""Traces, where OTEL_EXPORTER_OTLP_ENDPOINT asks for them, as a collector gets them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.utils.module_loading import import_string
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fluxiq.tests.served import EMBEDDED, NO_LIMITS, serving
from fluxiq.tests.waiting import wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Keeps every span that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.bytes = b""


class Receiver(BaseHTTPRequestHandler):
    server: Collector
    paths: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        self.paths.add(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bytes += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.server.services.add(attribute.value.string_value)
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *about: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


@pytest.mark.engine
def test_each_request_is_a_trace_with_its_steps_and_no_secret(collector: Collector) -> None:
    environment = {
        **NO_LIMITS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "PYTHONPATH": "",  # with the packages of requirements-tracing.txt
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "TRUSTED_PROXIES": "127.0.0.1/32",
    }
    with serving(EMBEDDED, environment, workers=1) as service:
        key = service.demo["key"]
        parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        accounts = service.call("GET", "/api/v1/accounts", key, headers=parent)
        pair = service.sign_in()
        service.call("GET", f"/api/v1/merchants/{key}", key)
        wait_until(lambda: len([s for s in collector.spans if s.kind == 2]) >= 4, "four spans")
        secrets = [key, *pair.values(), service.demo["users"][0]["password"]]
        secrets.append(service.demo["users"][0]["document"])
    assert Receiver.paths == {"/v1/traces"}
    assert collector.services == {"fluxiq-auth"}
    served = {
        attributes(span).get("http.route"): span for span in collector.spans if span.kind == 2
    }
    assert {"/healthz", "/api/v1/accounts", "/api/v1/auth/login"} <= served.keys()
    root = served["/api/v1/accounts"]
    told = attributes(root)
    assert root.name == "GET /api/v1/accounts"
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    assert told["http.response.status_code"] == 200
    assert told["fluxiq.request_id"] == accounts.headers["x-request-id"]
    assert told["enduser.id"].startswith("key_")
    inside = {span.name for span in collector.spans if span.trace_id == root.trace_id}
    assert {"gate", "counters on this host", "SELECT"} <= inside
    login = served["/api/v1/auth/login"]
    assert "hash" in {span.name for span in collector.spans if span.trace_id == login.trace_id}
    for secret in secrets:
        if isinstance(secret, str) and secret != "Bearer":
            assert secret.encode() not in collector.bytes


def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    program = (  # (redis-py loads the SDK by itself where it is installed)
        "import django, sys; django.setup(); import fluxiq.wsgi;"
        "sys.exit(bool({'fluxiq.telemetry', 'opentelemetry.exporter.otlp'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_every_step_that_is_traced_exists() -> None:
    for path in settings.TRACED.values():
        owner, _, name = path.rpartition(".")
        assert callable(getattr(import_string(owner), name))
