"""OpenTelemetry traces, where OTEL_EXPORTER_OTLP_ENDPOINT asks for them.

Imported only then, by a worker that has loaded: the functions that settings.TRACED names are
wrapped in spans once, and cost nothing where nobody asks. The SDK's own variables
(OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …) hold.

A span names routes, ids and statements with their placeholders: no path, no value, no secret.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fluxiq.addresses import is_within, parse_address
from fluxiq.middleware import OutermostMiddleware

SERVICE = "fluxiq-auth"
MAX_STATEMENT = 1000

_propagator = TraceContextTextMapPropagator()


def start() -> None:
    """Trace this process from now on."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: SERVICE}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace_with(provider.get_tracer("fluxiq"))


def trace_with(tracer: Tracer) -> None:
    """Wrap what a request passes through in spans of this tracer."""
    _replace("fluxiq.middleware.OutermostMiddleware.__call__", _of_request(tracer))
    for name, path in settings.TRACED.items():
        _replace(path, _of_step(tracer, name))

    def watch(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        statements = _Statements(tracer, connection.vendor)
        if not any(isinstance(w, _Statements) for w in connection.execute_wrappers):
            connection.execute_wrappers.append(statements)

    connection_created.connect(watch, weak=False, dispatch_uid="telemetry")
    for connection in connections.all(initialized_only=True):
        watch(connection)


def _replace(path: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put a wrapped function in the place of the one that the dotted path names."""
    owner_path, _, name = path.rpartition(".")
    owner = import_string(owner_path)
    setattr(owner, name, wrap(getattr(owner, name)))


@contextmanager
def _span(tracer: Tracer, name: str, **options: Any) -> Iterator[None]:
    """A span for a block. Of what the block raises it tells the class alone: that is often an
    answer (401, 429), and may hold what a client sent."""
    with tracer.start_as_current_span(
        name, record_exception=False, set_status_on_exception=False, **options
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            raise


def _of_step(tracer: Tracer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with _span(tracer, name):
                return function(*args, **kwargs)

        return traced

    return wrap


def _of_request(tracer: Tracer) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(answer: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(answer)
        def traced(middleware: OutermostMiddleware, request: HttpRequest) -> HttpResponseBase:
            with tracer.start_as_current_span(
                str(request.method), _parent(request.META), kind=SpanKind.SERVER
            ) as span:
                response: HttpResponseBase = answer(middleware, request)
                if span.is_recording():
                    about = _about(request, response)
                    span.set_attributes(about)
                    span.update_name(f"{request.method} {about.get('http.route', '')}".strip())
                    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.set_status(StatusCode.ERROR)
                return response

        return traced

    return wrap


def _parent(meta: Mapping[str, str]) -> Context | None:
    """The trace that a trusted proxy began. Anybody else's traceparent says nothing here."""
    given = meta.get("HTTP_TRACEPARENT")
    peer = parse_address(meta.get("REMOTE_ADDR", ""))
    if given is None or not is_within(peer, settings.TRUSTED_PROXIES):
        return Context()
    carrier = {"traceparent": given, "tracestate": meta.get("HTTP_TRACESTATE", "")}
    return _propagator.extract(carrier, Context())


def _about(request: HttpRequest, response: HttpResponseBase) -> dict[str, str | int]:
    """What OpenTelemetry's HTTP conventions name, and who called."""
    about: dict[str, str | int] = {
        "http.request.method": str(request.method),
        "http.response.status_code": response.status_code,
        "fluxiq.request_id": str(getattr(request, "request_id", "")),
    }
    if request.resolver_match is not None:
        about["http.route"] = f"/{request.resolver_match.route}"
    principal = getattr(getattr(request, "gate", None), "principal", None)
    if principal is not None:
        about["enduser.id"] = principal.id
        about["fluxiq.principal.kind"] = str(principal.kind)
    return about


class _Statements:
    """A span for each statement that a connection executes (Django's execute_wrapper)."""

    def __init__(self, tracer: Tracer, system: str) -> None:
        self._tracer = tracer
        self._system = system

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        operation = sql.split(None, 1)[0].upper() if sql.strip() else "SQL"
        attributes = {"db.system.name": self._system, "db.query.text": sql[:MAX_STATEMENT]}
        with _span(self._tracer, operation, kind=SpanKind.CLIENT, attributes=attributes):
            return execute(sql, params, many, context)
