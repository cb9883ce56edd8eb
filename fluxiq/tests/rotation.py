"""Rotating the rings of two servers by the steps of docs/operate.md, under load: what must serve.

At every moment of it one server may be a step ahead of the other. What either makes (a token, a
key, a factor, a challenge, a seal) has to serve at both.
"""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.factories import Phone
from fluxiq.tests.load import NO_ANSWER, Client, Load, bearer, statuses
from fluxiq.tests.served import SECRETS, manage, run
from fluxiq.tests.two_servers import RINGS, Server
from fluxiq.tests.waiting import wait_until

API = "/api/v1"
ME = f"{API}/auth/me"
KEYS = 12
PASSWORD = "a password of the rotation"
OPERATE = PROJECT / "docs" / "operate.md"
_STEPS = re.compile(r"<!-- followed: the steps of a rotation -->\n```text\n(.+?)```", re.DOTALL)

Servers = Sequence[Server]


def steps() -> list[list[str]]:
    """The entries of a ring at each step, as the documentation has them: `old` and `new`."""
    (block,) = _STEPS.findall(OPERATE.read_text())
    lines = [line.partition(". ") for line in block.splitlines()]
    assert [number for number, _, _ in lines] == [f"{n}" for n in range(1, len(lines) + 1)]
    return [ring.split(",") for _, _, ring in lines]


def values(entries: Sequence[str], *, sealed_by_both: bool = True) -> dict[str, str]:
    """Every secret at the step that has these entries; the trail's stay with what they sealed."""
    value = {name: ",".join(entry(name, which) for which in entries) for name in RINGS}
    if sealed_by_both:
        both = dict.fromkeys((*entries, "old", "new"))
        value["AUDIT_KEYS"] = ",".join(entry("AUDIT_KEYS", which) for which in both)
    first, *others = (entry("SECRET_KEY", which) for which in entries)
    return {**value, "SECRET_KEY": first, "SECRET_KEY_FALLBACKS": ",".join(others) or first}


def entry(name: str, which: str) -> str:
    """The old or the new entry of a ring."""
    if which == "old":
        return SECRETS[name]
    secret = f"{name.lower()}-of-a-rotation-0123456789-0123456789"
    return secret if name == "SECRET_KEY" else f"newer:{secret}"


@dataclass
class Person:
    """Somebody with a second factor."""

    id: str
    document: str
    phone: Phone


@dataclass
class Rotation:
    """Two servers, what is used at both of them, and what was answered."""

    servers: Servers
    backstage: Backstage
    keys: dict[str, str] = field(default_factory=dict)  # the secrets, by id
    refresh: list[str] = field(default_factory=list)
    person: Person | None = None
    seen: Counter[int] = field(default_factory=Counter)
    made: int = 0

    def begin(self) -> None:
        """Issue keys, some of them bound to addresses and so never cached, and sign in."""
        for number in range(KEYS):
            allowed = ["127.0.0.0/8"] if number % 2 else []
            made = self.backstage.do("api_key", allowed_ips=allowed)
            self.keys[made["key"]] = made["secret"]
        self.refresh = [server.service.sign_in()["refresh_token"] for server in self.servers]
        self.person = self._enrolled(*self.servers)
        self.prove()

    def go(self, entries: Sequence[str], way: str) -> None:
        """Take one server after the other to a step, under load; prove all at each moment."""
        tokens = [self._refreshed(number) for number in range(len(self.servers))]
        each = [bearer(credential) for credential in (*self.keys.values(), *tokens)]
        ports = [server.service.gunicorn.port for server in self.servers]
        client = Client("holder", ports, ME, each=each, threads=2, pause=0.05)
        with Load(client) as load:
            for server in self.servers:
                server.take(values(entries), way)
                self.prove()
        answered = statuses(load.seen)
        self.seen += answered
        # A connection that its worker closed meanwhile is no refusal.
        assert set(answered) <= {HTTPStatus.OK, NO_ANSWER}, (entries, way, answered)
        assert answered[HTTPStatus.OK] > len(each)

    def prove(self) -> None:
        """What either server makes serves at the other, and what is older serves at both."""
        for one, other in itertools.permutations(self.servers):
            pair = one.service.sign_in()
            self._serves(other, pair["access_token"])
            body = {"refresh_token": pair["refresh_token"]}
            self._ok(other.service.call("POST", f"{API}/auth/refresh", None, body))
            merchant = one.service.demo["merchant_id"]
            body = {"name": "Made on the way", "permissions": ["accounts:read"]}
            path = f"{API}/merchants/{merchant}/api-keys"
            issued = one.service.call("POST", path, pair["access_token"], body)
            assert issued.status == HTTPStatus.CREATED, issued
            self.keys[issued.json["data"]["id"]] = issued.json["data"]["key"]
            for key in self.keys.values():
                self._serves(other, key)
            assert self.person is not None
            for person in (self.person, self._enrolled(one, other)):
                self._sign_in(person, one, other)
            self.person = person

    def retire(self, which: str) -> None:
        """What the documentation asks for before an entry is taken out: nothing needs it."""
        pepper, sealing = (
            entry(name, which).partition(":")[0] for name in ("API_KEY_PEPPERS", "MFA_KEYS")
        )

        def have_moved() -> bool:
            for server, key in itertools.product(self.servers, self.keys.values()):
                self._serves(server, key)
            return not self.keys.keys() & set(self.backstage.do("keys_under", pepper=pepper))

        # A key that is cached moves once it is looked up again.
        wait_until(have_moved, "the keys that are used to move", pause=0.5)
        reason = ("--reason", "rotated", "--yes")
        if self.backstage.do("keys_under", pepper=pepper):
            run(self.backstage, "revoke_api_keys", "--pepper", pepper, *reason)
        run(self.backstage, "reset_mfa_under", sealing, *reason)
        for server in self.servers:
            manage(server.service.environment, "check", "--database", "default")

    def prove_trail(self) -> None:
        """Each server verifies all that both have sealed."""
        for server in self.servers:
            manage(server.service.environment, "verify_audit_log")

    def _refreshed(self, number: int) -> str:
        """A fresh access token of one of the sessions that were begun first."""
        server = self.servers[number]
        body = {"refresh_token": self.refresh[number]}
        answer = self._ok(server.service.call("POST", f"{API}/auth/refresh", None, body))
        self.refresh[number] = answer["refresh_token"]
        return str(answer["access_token"])

    def _enrolled(self, one: Server, other: Server) -> Person:
        """A new person, who enrols at one server and confirms at the other."""
        made = self.backstage.do("member", password=PASSWORD)
        body = {"document": made["document"], "password": PASSWORD}
        token = self._ok(one.service.call("POST", f"{API}/auth/login", None, body))["access_token"]
        proof = {"current_password": PASSWORD}
        secret = self._ok(one.service.call("POST", f"{API}/auth/mfa/enrol", token, proof))["secret"]
        phone = Phone(secret, ())
        code = {"code": phone.code()}
        self._ok(other.service.call("POST", f"{API}/auth/mfa/confirm", token, code))
        return Person(made["user"], made["document"], phone)

    def _sign_in(self, person: Person, one: Server, other: Server) -> None:
        """Prove the password at one server and the code at the other."""
        self.backstage.do("forget_codes", user=person.id)
        body = {"document": person.document, "password": PASSWORD}
        challenged = one.service.call("POST", f"{API}/auth/login", None, body)
        assert challenged.status == HTTPStatus.FORBIDDEN, challenged
        challenge = challenged.json["error"]["challenge"]
        proof = {"challenge": challenge, "code": person.phone.code()}
        self._ok(other.service.call("POST", f"{API}/auth/login/mfa", None, proof))
        self.made += 1

    def _serves(self, server: Server, credential: str) -> None:
        self._ok(server.service.call("GET", ME, credential))

    @staticmethod
    def _ok(answer: Any) -> Any:
        assert answer.status == HTTPStatus.OK, answer
        return answer.json["data"]
