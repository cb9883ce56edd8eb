"""The load: wrk, driven by load.lua, and questions to see that the answers are right."""

import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.report import Failed

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 8
TIMEOUT = "10s"  # of an answer, which on a busy machine may wait for a hash
GRACE_SECONDS = 60  # beyond the time asked for, before wrk is taken to hang

Check = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    ok: int = 0
    refused: int = 0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def need_wrk() -> str:
    """Where wrk is. Raises Failed where it is not."""
    found = shutil.which("wrk")
    if found is None:
        raise Failed("wrk makes the load and is not installed (Debian, Ubuntu: apt install wrk)")
    return found


def drive(
    urls: Sequence[str],
    values: Sequence[str],
    *,
    kind: str = "header",
    seconds: int,
    connections: int = CONNECTIONS,
    options: Mapping[str, str] | None = None,
    may_refuse: bool = False,
) -> Load:
    """Load these URLs, which share the connections, and return what came back.

    `values` are the Authorization headers or bodies, in turn; `kind` and `options` are
    load.lua's BENCH_KIND and its other variables. Raises Failed for any answer that is an error,
    or with `may_refuse` only for connections that broke.
    """
    wrk = need_wrk()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{value}\n" for value in values))
        file.flush()
        environment = {
            **os.environ,
            "BENCH_VALUES": file.name,
            "BENCH_KIND": kind,
            **(options or {}),
        }
        share = str(max(1, connections // len(urls)))
        processes = [
            subprocess.Popen(
                [
                    wrk,
                    "-t1",
                    f"-c{share}",
                    f"-d{seconds}s",
                    "--timeout",
                    TIMEOUT,
                    "-s",
                    str(SCRIPT),
                    url,
                ],
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for url in urls
        ]
        try:
            said = [
                process.communicate(timeout=seconds + GRACE_SECONDS)[0] for process in processes
            ]
        finally:
            for process in processes:
                process.kill()
                process.wait()
    parts = [_read(url, text) for url, text in zip(urls, said, strict=True)]
    allowed = sum(part["refused"] for part in parts) if "" in values else 0
    if may_refuse:
        allowed = sum(part["bad"] for part in parts)
    bad = sum(part["bad"] + part["broken"] for part in parts) - allowed
    if bad or not sum(part["requests"] for part in parts):
        raise Failed(f"{', '.join(urls)}: {bad} bad answers:\n" + "\n".join(said))
    return Load(
        requests=sum(part["requests"] for part in parts),
        seconds=max(part["microseconds"] for part in parts) / 1e6,
        p50_ms=sum(part["p50"] for part in parts) / len(parts) / 1e3,
        p99_ms=max(part["p99"] for part in parts) / 1e3,
        ok=sum(part["ok"] for part in parts),
        refused=allowed,
    )


def _read(url: str, said: str) -> dict[str, int]:
    found = re.search(r"^JSON (.*)$", said, re.MULTILINE)
    if found is None:
        raise Failed(f"wrk failed at {url}:\n{said}")
    counts: dict[str, int] = json.loads(found[1])
    return counts


def ask(url: str, credential: str | None) -> tuple[int, Mapping[str, str], bytes]:
    """One GET: status, headers by lower-case name, body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        headers = {} if credential is None else {"Authorization": credential}
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, names, answer.read()
    finally:
        connection.close()


def must_answer(url: str, credential: str | None, is_right: Check) -> None:
    """See that one request is answered 200, with the right body. Raises Failed."""
    status, _, body = ask(url, credential)
    if status != HTTPStatus.OK or not is_right(json.loads(body)):
        raise Failed(f"{url} answered {status}: {body[:300]!r}")


def must_refuse(url: str, credential: str | None) -> None:
    """See that this credential, or none, is refused. Raises Failed."""
    status, _, body = ask(url, credential)
    if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Failed(f"{url} answered {status} to a credential that is none: {body[:300]!r}")
