"""The writing operations of the service: what each acts by, and what it takes away.

`needs` names what an operation acts by, `takes` what nobody acts by any more once it was answered
2xx, and `once` what it uses up itself. An operation that `signs_in` answers tokens, which live no
longer than what they were got by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accounts.models import User
from authn import passwords, reclaim
from authn.mfa import factors
from authn.models import ApiKey
from fluxiq.tests.interleaved import NEW, OLD, Answer, World, sign_in_at_the_console
from merchants.models import Merchant

PASSWORD, CHALLENGE, RESET, INVITATION = "password", "challenge", "reset token", "invitation"
FIRST, SECOND, REFRESH, ROLE, KEY = "first", "second", "refresh", "Vera's role", "key"
VERAS_INVITATION = "Vera's invitation"
ALONE = "the password without a second factor"  # it signs in, and does not once there is one
LIVE_KEY = "a live key"  # to change or to rotate, whoever does it
ALL_SESSIONS = {FIRST, SECOND, REFRESH}
OTHER_SESSIONS = {SECOND, REFRESH}
PROOFS = {PASSWORD, CHALLENGE, RESET}

Request = Callable[[World], Answer]
Body = Callable[[World], Any] | Any


@dataclass(frozen=True)
class Operation:
    """One request. `second_factor` says which Vera it is for: None is either."""

    name: str
    request: Request
    needs: frozenset[str]
    takes: frozenset[str]
    once: bool
    signs_in: bool
    second_factor: bool | None


def _operation(
    name: str,
    request: Request,
    *,
    needs: set[str] | None = None,
    takes: set[str] | None = None,
    once: bool = False,
    signs_in: bool = False,
    second_factor: bool | None = None,
) -> Operation:
    return Operation(
        name,
        request,
        frozenset(needs or ()),
        frozenset(takes or ()),
        once,
        signs_in,
        second_factor,
    )


def _call(method: str, path: str, by: str = "", body: Body = None) -> Request:
    """A call of the API. `{…}` in the path are the world's."""

    def request(world: World) -> Answer:
        given = body(world) if callable(body) else body
        return world.call(method, path.format(w=world), by, given)

    return request


def _by_staff(do: Callable[[User], object]) -> Request:
    """What a page of the console or a command does with Vera."""

    def request(world: World) -> Answer:
        do(User.objects.get(pk=world.vera.pk))
        return Answer(204)

    return request


def _suspend(world: World) -> Answer:
    Merchant.objects.get(pk=world.merchant.pk).suspend()
    return Answer(204)


def _revoke(world: World) -> Answer:
    return Answer(204 if ApiKey.objects.get(pk=world.key.pk).revoke("by staff") else 409)


_CHANGE = {"current_password": OLD, "new_password": NEW}
_KEY, _VERA, _MARIO = "{w.keys}/{w.key.id}", "/users/{w.veras.id}", "/users/{w.mario.id}"
_NEW_KEY = {"name": "New", "permissions": ["accounts:read"]}

TAKING = [
    _operation(
        "change the password",
        _call("POST", "/auth/password", FIRST, _CHANGE),
        needs={FIRST, PASSWORD},
        takes=OTHER_SESSIONS | PROOFS,
        once=True,
    ),
    _operation(
        "reset the password",
        _call(
            "POST",
            "/auth/password/reset",
            body=lambda w: {"token": w.reset_token, "new_password": NEW},
        ),
        needs={RESET},
        takes=ALL_SESSIONS | PROOFS,
        once=True,
    ),
    _operation(
        "set a password as staff",
        _by_staff(lambda user: passwords.reset(user, NEW)),
        takes=ALL_SESSIONS | PROOFS,
    ),
    _operation(
        "withdraw the password",
        _by_staff(lambda user: passwords.withdraw(user, "leaked")),
        takes=ALL_SESSIONS | PROOFS,
    ),
    _operation(
        "give the document back",
        _by_staff(lambda user: reclaim.reclaim(user, "squatted")),
        takes=ALL_SESSIONS | PROOFS | {VERAS_INVITATION},
    ),
    _operation(
        "deactivate the user",
        _by_staff(lambda user: user.deactivate()),
        takes=ALL_SESSIONS | PROOFS | {ROLE},
    ),
    _operation("sign out", _call("POST", "/auth/logout", SECOND), takes=OTHER_SESSIONS),
    _operation(
        "end a session",
        _call("DELETE", "/auth/sessions/{w.second_session}", FIRST),
        needs={FIRST},
        takes=OTHER_SESSIONS,
    ),
    _operation(
        "end all sessions",
        _call("DELETE", "/auth/sessions", FIRST),
        needs={FIRST},
        takes=ALL_SESSIONS,
    ),
    _operation(
        "revoke the refresh token",
        _call("POST", "/auth/revoke", body=lambda w: {"token": w.second.refresh_token}),
        takes=OTHER_SESSIONS,
    ),
    _operation(
        "confirm a second factor",
        _call("POST", "/auth/mfa/confirm", FIRST, lambda w: {"code": w.phone.code()}),
        needs={FIRST},
        takes=OTHER_SESSIONS | {ALONE},
        once=True,
        second_factor=False,
    ),
    _operation(
        "remove the second factor",
        _call(
            "DELETE",
            "/auth/mfa",
            FIRST,
            lambda w: {"current_password": OLD, "code": w.phone.recovery_codes[0]},
        ),
        needs={FIRST, PASSWORD},
        takes=OTHER_SESSIONS | {CHALLENGE},
        once=True,
        second_factor=True,
    ),
    _operation(
        "reset the second factor",
        _by_staff(factors.reset),
        takes=ALL_SESSIONS | {CHALLENGE},
        second_factor=True,
    ),
    _operation(
        "require a second factor",
        _call("PATCH", "/merchants/{w.merchant.id}/security", "omar", {"require_mfa": True}),
        takes=ALL_SESSIONS | {ROLE},
        second_factor=False,
    ),
    _operation("lower Vera", _call("PATCH", _VERA, "omar", {"role": "operator"}), takes={ROLE}),
    _operation(
        "shut Vera out", _call("PATCH", _VERA, "omar", {"status": "inactive"}), takes={ROLE}
    ),
    _operation("remove Vera", _call("DELETE", _VERA, "omar"), takes={ROLE}),
    _operation("suspend the merchant", _suspend, takes={ROLE, KEY}),
    _operation("revoke the key", _call("DELETE", _KEY, "omar"), takes={KEY, LIVE_KEY}),
    _operation("revoke the key as staff", _revoke, takes={KEY, LIVE_KEY}),
    _operation(
        "narrow the key", _call("PATCH", _KEY, "omar", {"permissions": ["pix:read"]}), takes={KEY}
    ),
    _operation(
        "bind the key", _call("PATCH", _KEY, "omar", {"allowed_ips": ["192.0.2.0/24"]}), takes={KEY}
    ),
    _operation(
        "rotate the key", _call("POST", _KEY + "/rotate", "omar", {"grace_seconds": 0}), takes={KEY}
    ),
    _operation(
        "withdraw the invitation",
        _call("DELETE", "/users/{w.nina.id}", "omar"),
        takes={INVITATION},
    ),
]


def _by_sessions(
    name: str, method: str, path: str, body: Body, needs: set[str] | None = None
) -> list[Operation]:
    """A call that needs a permission at the merchant, by each of Vera's sessions."""
    return [
        _operation(
            f"{name} ({by})", _call(method, path, by, body), needs={by, ROLE, *(needs or ())}
        )
        for by in (FIRST, SECOND)
    ]


def _by_key(name: str, method: str, path: str, body: Body = None) -> list[Operation]:
    """A call that needs a permission at the merchant, by Vera's first session and by the key."""
    return [
        _operation(f"{name} ({FIRST})", _call(method, path, FIRST, body), needs={FIRST, ROLE}),
        _operation(f"{name} ({KEY})", _call(method, path, KEY, body), needs={KEY}),
    ]


_INVITED = {"document": "52998224725", "name": "Iris", "role": "operator"}

USING = [
    _operation(
        "sign in",
        _call("POST", "/auth/login", body=lambda w: {"document": w.vera.document, "password": OLD}),
        needs={PASSWORD, ALONE},
        signs_in=True,
    ),
    _operation(
        "finish a sign-in",
        _call(
            "POST",
            "/auth/login/mfa",
            body=lambda w: {"challenge": w.challenge, "code": w.phone.code()},
        ),
        needs={CHALLENGE},
        once=True,
        signs_in=True,
        second_factor=True,
    ),
    _operation(
        "refresh",
        _call("POST", "/auth/refresh", body=lambda w: {"refresh_token": w.second.refresh_token}),
        needs={REFRESH},
        signs_in=True,
    ),
    _operation(
        "accept an invitation",
        _call(
            "POST",
            "/auth/invitations/accept",
            body=lambda w: {
                "invitation": w.invitation,
                "document": w.nina.document,
                "password": NEW,
            },
        ),
        needs={INVITATION},
        once=True,
    ),
    _operation(
        "accept an invitation by password",
        _call(
            "POST",
            "/auth/invitations/accept",
            body=lambda w: {
                "invitation": w.veras_invitation,
                "document": w.vera.document,
                "password": OLD,
            },
        ),
        needs={PASSWORD, VERAS_INVITATION},
        second_factor=False,
    ),
    _operation(
        "sign in at the console",
        lambda w: sign_in_at_the_console(w.vera.document, OLD),
        needs={PASSWORD, ALONE},
        signs_in=True,
        second_factor=False,
    ),
    _operation(
        "enrol a second factor",
        _call("POST", "/auth/mfa/enrol", SECOND, {"current_password": OLD}),
        needs={SECOND, PASSWORD},
        second_factor=False,
    ),
    _operation(
        "confirm a second factor (second)",
        _call("POST", "/auth/mfa/confirm", SECOND, lambda w: {"code": w.phone.code()}),
        needs={SECOND},
        second_factor=False,
    ),
    _operation(
        "renew the recovery codes",
        _call("POST", "/auth/mfa/recovery-codes", SECOND, lambda w: {"code": w.phone.code()}),
        needs={SECOND},
        second_factor=True,
    ),
    _operation(
        "change the password (second)",
        _call("POST", "/auth/password", SECOND, _CHANGE),
        needs={SECOND, PASSWORD},
    ),
    *_by_sessions("issue a key", "POST", "{w.keys}", _NEW_KEY),
    *_by_sessions("rotate the key", "POST", _KEY + "/rotate", {"grace_seconds": 60}, {LIVE_KEY}),
    *_by_sessions("change the key", "PATCH", _KEY, {"name": "Renamed"}, {LIVE_KEY}),
    *_by_key("invite", "POST", "/users", _INVITED),
    *_by_key("change a member", "PATCH", _MARIO, {"name": "Mario B."}),
    *_by_key("open an account", "POST", "/accounts", {"name": "New"}),
    *_by_key("rename an account", "PATCH", "/accounts/{w.account.id}", {"name": "Other"}),
]

OPERATIONS = [*TAKING, *USING]


def pairs() -> list[tuple[Operation, Operation]]:
    """Each operation that takes, with each that needs what it takes away, or itself if it serves
    once."""
    return [
        (taking, using)
        for taking in OPERATIONS
        for using in OPERATIONS
        if None in (taking.second_factor, using.second_factor)
        or taking.second_factor == using.second_factor
        if (taking.takes & using.needs if taking is not using else taking.once)
    ]
