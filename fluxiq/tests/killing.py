"""A credential killed under traffic: the ways to do it, and what is answered before and after."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.served import Service
from fluxiq.tests.waiting import wait_until

API = "/api/v1"
ASKERS = 3

Kill = Callable[[Service, Backstage, dict[str, Any], str], int]


def call(method: str, path: str, body: Any = None, *, own: bool = False) -> Kill:
    """A way to kill: this call, with the victim's own token or the superuser's."""

    def kill(service: Service, backstage: Backstage, victim: dict[str, Any], root: str) -> int:
        token = victim["access_token"] if own else root
        return service.call(method, API + path.format(**victim), token, body).status

    return kill


def order(name: str, argument: str) -> Kill:
    """A way to kill: that order backstage, which answers once it is committed."""

    def kill(service: Service, backstage: Backstage, victim: dict[str, Any], root: str) -> int:
        backstage.do(name, **{argument: victim[argument]})
        return 200

    return kill


KEYS = "/merchants/{merchant}/api-keys/{key}"
WRITE = "/auth/verify?permission=accounts:write"
ME = "/auth/me"

# name: (whose credential, what it asks, how it is killed)
WAYS: dict[str, tuple[str, str, Kill]] = {
    "logout": ("member", ME, call("POST", "/auth/logout", own=True)),
    "end of the session": ("member", ME, call("DELETE", "/auth/sessions/{session}", own=True)),
    "logout everywhere": ("member", ME, call("DELETE", "/auth/sessions", own=True)),
    "revocation by its holder": ("member", ME, call("POST", "/auth/revoke", {"token": "?"})),
    "deactivation": ("member", ME, order("deactivate", "user")),
    "password reset": ("member", ME, order("reset_password", "user")),
    "role change": ("member", WRITE, call("PATCH", "/users/{membership}", {"role": "operator"})),
    "suspension": ("member", WRITE, order("suspend", "merchant")),
    "key revoked": ("api_key", ME, call("DELETE", KEYS)),
    "key narrowed": ("api_key", WRITE, call("PATCH", KEYS, {"permissions": ["pix:read"]})),
    "key bound": ("api_key", ME, call("PATCH", KEYS, {"allowed_ips": ["192.0.2.0/24"]})),
    "key rotated": ("api_key", ME, call("POST", KEYS + "/rotate", {"grace_seconds": 0})),
    "key expired": ("api_key", ME, order("expire", "key")),
    "suspension of a key's merchant": ("api_key", ME, order("suspend", "merchant")),
}


class Asker(threading.Thread):
    """Asks with one credential over one connection, noting when each answer was asked for."""

    def __init__(self, service: Service, path: str, token: str) -> None:
        super().__init__()
        self._service, self._path, self._token = service, path, token
        self.seen: list[tuple[float, int]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Ask until told to stop."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._service.gunicorn.port, timeout=30
        )
        headers = {"Authorization": f"Bearer {self._token}"}
        while not self.stop.is_set():
            asked = time.monotonic()
            connection.request("GET", API + self._path, headers=headers)
            response = connection.getresponse()
            response.read()
            self.seen.append((asked, response.status))
        connection.close()

    def asked_since(self, moment: float) -> list[int]:
        """The statuses of what was asked after that moment."""
        return [status for asked, status in self.seen if asked > moment]


def trial(
    service: Service,
    backstage: Backstage,
    root: str,
    way: tuple[str, str, Kill],
    server: redis.Redis | None = None,
    *,
    flush: bool = False,
) -> tuple[Counter[int], Counter[int]]:
    """Kill one credential under traffic: the statuses before, and after, the 2xx.

    With the server of the counts, the victim is remembered there by then; with `flush` it is
    emptied just before the killing.
    """
    whose, path, kill = way
    victim = backstage.do(whose)
    token = victim.get("access_token") or victim["secret"]
    if whose == "member":
        victim["session"] = backstage.do("session_of", user=victim["user"])
    if server is not None:
        server.flushall()  # of the tombstones that making the victim laid
    askers = [Asker(service, path, token) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    try:
        wait_until(lambda: all(len(asker.seen) > 2 for asker in askers), pause=0.001)
        if server is not None and flush:
            server.flushall()
        if kill is WAYS["revocation by its holder"][2]:
            status = service.call("POST", f"{API}/auth/revoke", None, {"token": token}).status
        else:
            status = kill(service, backstage, victim, root)
        dead = time.monotonic()
        assert status < 300, status
        wait_until(lambda: all(len(asker.asked_since(dead)) > 1 for asker in askers), pause=0.001)
    finally:
        for asker in askers:
            asker.stop.set()
        for asker in askers:
            asker.join()
    before = Counter(s for asker in askers for t, s in asker.seen if t <= dead)
    after = Counter(s for asker in askers for s in asker.asked_since(dead))
    return before, after
