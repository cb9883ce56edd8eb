"""Secrets given where they do not belong: to every operation, and where no request is."""

import base64
import json
import re
import socket
from itertools import cycle
from urllib.parse import quote

from fluxiq.tests.canaries import API, INVITED, Walk
from fluxiq.tests.served import Answer


def misuse(walk: Walk) -> None:
    """Give secrets where they do not belong: to each operation, and each in turn."""
    secrets = {w: s for w, s in walk.secrets.items() if not re.search(r"code [2-9]", w)}
    live = secrets.pop("last access token")
    turn = cycle(secrets.values())
    names = cycle(secrets.items())
    for operation in sorted(walk.operations):
        method, _, template = operation.partition(" ")
        # The two would succeed.
        is_final = operation in (f"DELETE {API}/auth/sessions", f"POST {API}/auth/logout")
        token = None if is_final else live
        path = template.removeprefix(API)
        known = re.sub(r"\{(\w)\w*\}", r"\1", path)
        walk.ask(method, known, next(turn))
        walk.ask(method, f"{known}?token={quote(next(turn))}", token)
        walk.ask(method, re.sub(r"\{\w+\}", quote(next(turn)), path) + "/x", token)
        if "{" in path:
            walk.ask(method, re.sub(r"\{\w+\}", quote(next(turn)), path), token)
        if method != "GET":
            what, name = next(names)
            answer = walk.ask(method, known, token, {"pasword": next(turn), name: "misplaced"})
            walk.tellers[what].append(answer)  # which field is unknown is told by its name
            walk.ask(method, known, token, json.dumps(next(turn)).encode()[:-1])
    for secret in secrets.values():
        walk.ask("POST", "/auth/login", None, {"document": secret[:32], "password": secret})
        walk.ask("POST", "/auth/refresh", None, {"refresh_token": secret})
        walk.ask("POST", "/auth/introspect", live, {"token": secret})
        walk.ask("POST", "/auth/login/mfa", None, {"challenge": secret, "code": secret[:64]})
        body = {"token": secret, "new_password": secret}
        walk.ask("POST", "/auth/password/reset", None, body)
        body = {"invitation": secret, "document": INVITED, "password": secret}
        walk.ask("POST", "/auth/invitations/accept", None, body)
        basic = base64.b64encode(f"x:{secret}".encode()).decode()
        walk.ask("GET", "/auth/me", None, Authorization=f"Basic {basic}")


def send_no_requests(walk: Walk) -> None:
    """Send each secret where a request, its version or a header is expected."""
    for secret in list(walk.secrets.values()):
        head = "POST /api/v1/auth/logout HTTP/1.1\r\nHost: localhost\r\n"
        for sent in (
            f"{secret}\r\n\r\n",
            f"GET /{quote(secret)} HTTP/9.9\r\n\r\n",
            f"{head}Authorization Bearer {secret}\r\n\r\n",
            f"{head}{secret} : x\r\n\r\n",
            f"{head}Transfer-Encoding: {secret}\r\n\r\n",
            # A body that is longer than was said.
            f"{head}Content-Length: 1\r\n\r\n{{{json.dumps(secret)}}}\r\n\r\n",
        ):
            address = ("127.0.0.1", walk.service.gunicorn.port)
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(sent.encode())
                client.shutdown(socket.SHUT_WR)
                received = client.makefile("rb").read()
            assert received.startswith(b"HTTP/1.1 "), sent
            walk.note("what is no request", Answer(int(received[9:12]), {}, received))
