"""Who calls and what about, when Schemathesis tries the API: a module of hooks that it loads.

It knows the shape of everything and owns nothing. Half of what it makes up well is pointed here at
what there is: ids, passwords and tokens of somebody, most often made for that one call, so that no
case takes a credential from the next. Its environment is that of the service.
"""

from collections.abc import Callable
from functools import cached_property
from random import Random
from typing import Any

import schemathesis
from schemathesis import AuthContext, Case, HookContext
from schemathesis.openapi.checks import UnsupportedMethodResponse

from fluxiq.tests.backstage import Backstage

PASSWORD = "correct horse battery"
NEW_PASSWORD = "another battery staple"
# A case of these ends the caller's session, or all of them.
FINAL = {"logout", "changePassword", "endAllSessions", "endSession", "revokeToken"}
# These try one's own password and lock one out.
GUESSING = {"enrolMfa", "confirmMfa", "removeMfa", "renewRecoveryCodes"}
# And of these, some are given it.
PROVING = {"changePassword", "enrolMfa"}
# Of these no schema can tell the ones that serve.
UNTOLD = {"cursor", "from", "to", "kind"}


class Stage:
    """The people behind the calls."""

    def __init__(self) -> None:
        self.chance = Random(0)  # noqa: S311 - of a trial, which is to be the same each time

    @cached_property
    def backstage(self) -> Backstage:
        """The process that makes people, for as long as this one lives."""
        return Backstage({})

    @cached_property
    def owner(self) -> dict[str, Any]:
        """Who calls most of the time."""
        person = self.person(password=PASSWORD)
        merchant = person["merchant"]
        key = self.backstage.do("api_key", merchant_id=merchant)["key"]
        account = self.backstage.do("account", merchant_id=merchant)
        return {**person, "key_id": key, "account_id": account}

    @cached_property
    def key(self) -> dict[str, Any]:
        """A key that nobody of the cast can reach."""
        made: dict[str, Any] = self.backstage.do("api_key")
        return {"credential": made["secret"], "merchant_id": made["merchant"]}

    def person(self, *, password: str | None = None) -> dict[str, Any]:
        """Somebody new, who owns a merchant of their own; with a password, where it is used."""
        made: dict[str, Any] = self.backstage.do("member", role="owner", password=password)
        return {
            **made,
            "credential": made["access_token"],
            "merchant_id": made["merchant"],
            "membership_id": made["membership"],
            "session_id": self.backstage.do("session_of", user=made["user"]),
        }

    def caller(self, operation: str) -> dict[str, Any]:
        """Who calls that operation: their `credential`, which is empty of nobody, and what is
        theirs."""
        if operation in FINAL | GUESSING:
            return self.person(password=PASSWORD if operation in PROVING else None)
        if operation == "removeUser":
            member = self.backstage.do("member", merchant_id=self.owner["merchant"])
            return {**self.owner, "membership_id": member["membership"]}
        if operation == "leaveMerchant":
            member = self.backstage.do("member", merchant_id=self.owner["merchant"])
            return {"credential": member["access_token"], "membership_id": member["membership"]}
        turn = self.chance.random()
        if turn < 0.1:
            return {"credential": ""}
        return self.key if turn < 0.3 else self.owner

    def body(self, operation: str) -> dict[str, Any] | None:
        """A body of what there is, where the operation takes one that cannot be made up."""
        make = BODIES.get(operation)
        return None if make is None else make(self)


def _spent(stage: Stage, name: str) -> dict[str, Any]:
    """A token of somebody who is not heard of again."""
    return {name: stage.person()[name]}


def _invitation(stage: Stage) -> dict[str, Any]:
    made: dict[str, Any] = stage.backstage.do("invitation", merchant_id=stage.owner["merchant"])
    return {**made, "password": PASSWORD}


BODIES: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "login": lambda stage: {"document": stage.owner["document"], "password": PASSWORD},
    "finishLogin": lambda stage: stage.backstage.do("challenge", user=stage.person()["user"]),
    "refresh": lambda stage: _spent(stage, "refresh_token"),
    "introspect": lambda stage: {"token": stage.key["credential"]},
    "revokeToken": lambda stage: {"token": stage.person()["access_token"]},
    "changePassword": lambda _: {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    "enrolMfa": lambda _: {"current_password": PASSWORD},
    "resetPassword": lambda stage: {
        "token": stage.backstage.do("reset_token", user=stage.person()["user"]),
        "new_password": NEW_PASSWORD,
    },
    "acceptInvitation": _invitation,
    "inviteUser": lambda stage: {
        "document": f"{stage.chance.randrange(10**11):011}",
        "name": "Trial",
        "role": stage.chance.choice(("operator", "manager", "owner")),
    },
    "updateApiKey": lambda _: {"allowed_ips": ["127.0.0.0/8"], "expires_at": None},
    "rotateApiKey": lambda _: {"grace_seconds": 604800},
}

stage = Stage()


@schemathesis.auth(refresh_interval=None)
class Placeholder:
    """Tells Schemathesis that cases carry a credential: it tries each operation without, too."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        """What `before_call` puts another credential in place of."""
        return "placeholder"

    def set(self, case: Case[Any], placeholder: str, context: AuthContext) -> None:
        """Put it into the case."""
        case.headers["Authorization"] = f"Bearer {placeholder}"


@schemathesis.hook
def filter_failure(context: HookContext, failure: Any, case: Case[Any], response: Any) -> bool:
    """`/auth/verify` answers every method alike, of which OpenAPI would have each written out."""
    is_verify = case.path.endswith("/auth/verify")
    return not (is_verify and isinstance(failure, UnsupportedMethodResponse))


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Give the case a credential, and point half of the good ones at what there is."""
    operation = str(case.operation.definition.raw["operationId"])
    caller = stage.caller(operation)
    if caller["credential"]:
        case.headers["Authorization"] = f"Bearer {caller['credential']}"
    else:
        case.headers.pop("Authorization", None)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if stage.chance.random() < 0.5:
        return
    for name in case.path_parameters:
        if name in caller:
            case.path_parameters[name] = caller[name]
    for name in UNTOLD & case.query.keys():
        del case.query[name]
    body = stage.body(operation)
    if body is not None:
        case.body = body
