"""Every endpoint of a running service used once and misused once, each secret of it kept.

A secret may stand in the answers that are documented to tell it, and in no other.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fluxiq.tests.factories import Phone
from fluxiq.tests.served import Answer, Service

API = "/api/v1"
OWNER, INVITED, MAILED = "52998224799", "86288366757", "38617294136"
MAILBOX = "ines@canaries.example"
OWNER_NAME = "Canário"
# As written in whole: what is masked has points or asterisks in it.
DOCUMENTS = (OWNER, "529.982.247-99", INVITED, "862.883.667-57", MAILED)
# A mail, as Django's console backend prints it.
MAIL = re.compile(r"(?s)Content-Type: text/plain.*?\n-{70,}\n")


def operations(service: Service) -> set[str]:
    """What the service says that it does, as `METHOD /path/{parameter}`."""
    document = service.call("GET", f"{API}/openapi.json").json
    return {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }


def needles(secret: str) -> set[str]:
    """How a secret would look where it stands: as it is, and as bytes are written."""
    raw = [secret.encode()]
    if re.fullmatch(r"[A-Z2-7]{32}", secret):  # of an authenticator app
        raw.append(base64.b32decode(secret))
    told = {secret, *(each.hex() for each in raw)}
    told |= {base64.b64encode(each).decode().rstrip("=") for each in raw}
    if secret.count(".") == 2:  # a token is of no use without its signature
        told.add(secret.rpartition(".")[2])
    return told | {secret.replace("-", "")} if re.fullmatch(r"(\w{4}-){3}\w{4}", secret) else told


@dataclass
class Walk:
    """A walk over the service: what was asked, what came, and the secrets that it brought up."""

    service: Service
    operations: set[str]
    secrets: dict[str, str] = field(default_factory=dict)
    walked: set[str] = field(default_factory=set)
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    tellers: dict[str, list[Answer]] = field(default_factory=dict)
    routes: list[tuple[re.Pattern[str], str]] = field(init=False)

    def __post_init__(self) -> None:
        paths = sorted({name.partition(" ")[2] for name in self.operations})
        paths.sort(key=lambda path: path.count("{"))  # what is spelt out goes first
        self.routes = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]

    def keep(self, what: str, secret: str, *told_by: Answer) -> str:
        """Look for this secret from now on; these answers are the ones to tell it."""
        assert len(secret) >= 12, what
        self.secrets[what] = secret
        self.tellers[what] = list(told_by)
        return secret

    def note(self, name: str, answer: Answer) -> Answer:
        """Keep an answer, to be looked through."""
        self.answers.append((name, answer))
        return answer

    def ask(
        self, method: str, path: str, token: str | None = None, body: Any = None, **headers: str
    ) -> Answer:
        """One request to the API, however it is answered."""
        name = f"{method} {API}{path}"
        answer = self.note(name, self.service.call(method, f"{API}{path}", token, body, headers))
        assert answer.status < HTTPStatus.INTERNAL_SERVER_ERROR, (name, answer)
        return answer

    def do(self, method: str, path: str, token: str | None = None, body: Any = None) -> Any:
        """One request that succeeds, which is what walking its operation means: its data."""
        answer = self.ask(method, path, token, body)
        assert answer.status < HTTPStatus.MULTIPLE_CHOICES, (method, path, answer)
        bare = f"{API}{path.partition('?')[0]}"
        route = next(path for pattern, path in self.routes if pattern.fullmatch(bare))
        self.walked.add(f"{method} {route}")
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.json.get("data", answer.json) if is_json and answer.content else None

    @property
    def last(self) -> Answer:
        """The last answer."""
        return self.answers[-1][1]

    def leaks(self) -> Iterator[str]:
        """Each secret that stands in an answer that is not to tell it."""
        for name, answer in self.answers:
            headers = {k: v for k, v in answer.headers.items() if k != "set-cookie"}
            text = f"{headers} {answer.content.decode()}"
            for what, secret in self.secrets.items():
                if any(told is answer for told in self.tellers[what]):
                    continue
                if any(needle in text for needle in needles(secret)):
                    yield f"{what} stands in an answer to {name}: {answer.status}"


def walk_api(walk: Walk, merchant: str) -> None:
    """Use every operation, as the owner of the merchant, whose password is kept as `password`."""
    owner = _Person(walk, OWNER, "password")
    _read(walk, owner.sign_in("first"), merchant)
    _keys(walk, owner.token, merchant)
    _accounts(walk, owner.token)
    _members(walk, owner.token)
    _passwords(walk, owner)
    phone = _second_factor(walk, owner)
    _ends(walk, owner, phone)


@dataclass
class _Person:
    """Who signs in with the document and the kept password of that name."""

    walk: Walk
    document: str
    password: str
    token: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        return {"document": self.document, "password": self.walk.secrets[self.password]}

    def sign_in(self, what: str) -> str:
        """An access token, with its pair kept under that name."""
        self.token = self.pair(what, self.walk.do("POST", "/auth/login", None, self.credentials))
        return self.token

    def pair(self, what: str, pair: dict[str, str]) -> str:
        self.walk.keep(f"{what} refresh token", pair["refresh_token"], self.walk.last)
        return self.walk.keep(f"{what} access token", pair["access_token"], self.walk.last)


def _read(walk: Walk, token: str, merchant: str) -> None:
    for path in (
        *("/auth/me", "/auth/sessions", "/auth/mfa", "/auth/verify?permission=pix:write"),
        *("/merchants", f"/merchants/{merchant}", f"/merchants/{merchant}/security"),
        *("/openapi.json", "/docs"),
    ):
        walk.do("GET", path, token)
    walk.do("POST", "/auth/introspect", token, {"token": token})
    body = {"refresh_token": walk.secrets["first refresh token"]}
    pair = walk.do("POST", "/auth/refresh", None, body)
    walk.keep("renewed access token", pair["access_token"], walk.last)
    walk.keep("renewed refresh token", pair["refresh_token"], walk.last)


def _keys(walk: Walk, token: str, merchant: str) -> None:
    keys = f"/merchants/{merchant}/api-keys"
    issued = walk.do("POST", keys, token, {"name": "Canary", "permissions": ["accounts:read"]})
    secret = walk.keep("API key", issued["key"], walk.last)
    one = f"{keys}/{issued['id']}"
    for path in (keys, one, f"{one}/usage"):
        walk.do("GET", path, token)
    walk.do("PATCH", one, token, {"name": "Renamed"})
    walk.do("GET", "/accounts", secret)
    rotated = walk.do("POST", f"{one}/rotate", token)
    walk.keep("rotated API key", rotated["key"], walk.last)
    walk.do("POST", "/auth/revoke", None, {"token": rotated["key"]})
    walk.do("DELETE", one, token)


def _accounts(walk: Walk, token: str) -> None:
    opened = walk.do("POST", "/accounts", token, {"name": "Till"})
    walk.do("GET", f"/accounts/{opened['id']}", token)
    walk.do("PATCH", f"/accounts/{opened['id']}", token, {"name": "Safe"})


def _members(walk: Walk, token: str) -> None:
    person = {"document": INVITED, "name": "Ines", "role": "operator"}
    mailed = {**person, "document": MAILED, "email": MAILBOX}
    assert "invitation" not in walk.do("POST", "/users", token, mailed)
    walk.keep("mailed invitation", mailed_secret(walk.service, r"^(inv_\S+)$"))
    invited = walk.do("POST", "/users", token, person)
    invitation = walk.keep("invitation", invited["invitation"], walk.last)
    password = walk.keep("password of the invited", "canary password of the invited")
    body = {"invitation": invitation, "document": INVITED, "password": password}
    walk.do("POST", "/auth/invitations/accept", None, body)
    pair = walk.do("POST", "/auth/login", None, {"document": INVITED, "password": password})
    walk.keep("access token of the invited", pair["access_token"], walk.last)
    walk.keep("refresh token of the invited", pair["refresh_token"], walk.last)
    walk.do("GET", "/auth/memberships", pair["access_token"])
    one = f"/users/{invited['id']}"
    walk.do("GET", "/users", token)
    walk.do("GET", one, token)
    walk.do("PATCH", one, token, {"name": "Inês"})
    walk.do("DELETE", f"/auth/memberships/{invited['id']}", pair["access_token"])
    again = walk.do("POST", "/users", token, {**person, "name": "Inês"})
    walk.keep("second invitation", again["invitation"], walk.last)
    walk.do("DELETE", f"/users/{again['id']}", token)


def _passwords(walk: Walk, owner: _Person) -> None:
    changed = walk.keep("changed password", "canary password, changed")
    body = {"current_password": walk.secrets["password"], "new_password": changed}
    walk.do("POST", "/auth/password", owner.token, body)
    walk.do("POST", "/auth/password/forgot", None, {"document": OWNER})
    token = walk.keep("reset token", mailed_secret(walk.service, r"#(usr_\S+)"))
    reset = walk.keep("reset password", "canary password, reset")
    walk.do("POST", "/auth/password/reset", None, {"token": token, "new_password": reset})
    owner.password = "reset password"


def mailed_secret(service: Service, pattern: str) -> str:
    """What a mail has in that place, once it is printed."""
    found: list[str] = []

    def has_come() -> bool:
        found[:] = re.findall(f"(?m){pattern}", "".join(MAIL.findall(service.gunicorn.log())))
        return bool(found)

    service.gunicorn.process.wait_until(has_come, what="the mail")
    return found[-1]


def _second_factor(walk: Walk, owner: _Person) -> Phone:
    token, password = owner.sign_in("second"), walk.secrets[owner.password]
    enrolled = walk.do("POST", "/auth/mfa/enrol", token, {"current_password": password})
    walk.keep("TOTP secret", enrolled["secret"], walk.last)
    phone = Phone(enrolled["secret"], ())
    phone.recovery_codes = walk.do("POST", "/auth/mfa/confirm", token, {"code": phone.code()})[
        "recovery_codes"
    ]
    for number, code in enumerate(phone.recovery_codes):
        walk.keep(f"recovery code {number}", code, walk.last)
    challenged = walk.ask("POST", "/auth/login", None, owner.credentials)
    challenge = walk.keep("challenge", challenged.json["error"]["challenge"], challenged)
    body = {"challenge": challenge, "code": phone.wrong_code()}
    assert walk.ask("POST", "/auth/login/mfa", None, body).status == HTTPStatus.UNAUTHORIZED
    walk.do("POST", "/auth/login/mfa", None, {**body, "code": phone.recovery_codes[0]})
    challenged = walk.ask("POST", "/auth/login", None, owner.credentials)
    challenge = walk.keep("next challenge", challenged.json["error"]["challenge"], challenged)
    body = {"challenge": challenge, "code": phone.code(1)}
    owner.token = owner.pair("proved", walk.do("POST", "/auth/login/mfa", None, body))
    body = {"code": phone.recovery_codes[1]}
    renewed = walk.do("POST", "/auth/mfa/recovery-codes", owner.token, body)["recovery_codes"]
    for number, code in enumerate(renewed):
        walk.keep(f"renewed recovery code {number}", code, walk.last)
    phone.recovery_codes = renewed
    return phone


def _ends(walk: Walk, owner: _Person, phone: Phone) -> None:
    token = owner.token
    merchant = walk.do("GET", "/merchants", token)[0]["id"]
    walk.do("PATCH", f"/merchants/{merchant}/security", token, {"require_mfa": False})
    password = walk.secrets[owner.password]
    removal = {"current_password": password, "code": phone.recovery_codes[0]}
    walk.do("DELETE", "/auth/mfa", token, removal)
    walk.do("GET", f"/merchants/{merchant}/audit-events?limit=100", owner.sign_in("third"))
    sessions = walk.do("GET", "/auth/sessions", owner.token)
    other = next(session["id"] for session in sessions if not session["current"])
    walk.do("DELETE", f"/auth/sessions/{other}", owner.token)
    walk.do("POST", "/auth/logout", owner.token)
    walk.do("DELETE", "/auth/sessions", owner.sign_in("fourth"))
    owner.sign_in("last")


def decoded(value: Any) -> str:
    """What a field of a table or a counter holds, to be searched."""
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return f"{raw.decode('latin-1')} {binascii.hexlify(raw).decode()}"
    return str(value)
