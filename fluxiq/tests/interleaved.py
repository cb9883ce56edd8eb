"""The world that interleaved operations share: a merchant, its people, and all that can be used."""

import itertools
import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.test import Client

from accounts.models import User
from authn import recovery, sessions
from authn.mfa import factors
from authn.models import ApiKey, MfaChallenge
from authn.tokens import RefreshToken
from fluxiq import origin
from fluxiq.principals import PLATFORM
from fluxiq.scopes import Role, Scope
from fluxiq.tests.factories import MembershipFactory, Phone, enrol
from merchants.models import Membership, Merchant, PaymentAccount

API = "/api/v1"
OLD, NEW = "correct horse battery", "staple battery horse"
KEY_PERMISSIONS = (  # as many as an operator has, and users:write
    *(Scope.ACCOUNTS_READ, Scope.ACCOUNTS_WRITE, Scope.TRANSACTIONS_READ, Scope.PIX_WRITE),
    *(Scope.USERS_READ, Scope.USERS_WRITE),
)

_numbers = itertools.count(time.time_ns() % 10**11)


@dataclass(frozen=True)
class Answer:
    """The status, and what stands under `data`."""

    status: int
    data: Any = None

    @property
    def succeeded(self) -> bool:
        """Whether it was answered 2xx."""
        return self.status in range(200, 300)


@dataclass
class World:
    """A merchant whose owner Vera is signed in twice, and everything that can be used for her.

    Her tokens are `first` and, as an attacker's might be, `second`. Omar, another owner, has a
    second factor; Mario is an operator; Nina was invited and has no user yet;
    Vera was invited to another merchant. The key acts for the
    merchant. `phone` is Vera's where she has a second factor, else of her pending enrolment.
    """

    merchant: Merchant
    vera: User
    mario: Membership
    veras: Membership
    first: sessions.TokenPair
    second: sessions.TokenPair
    omar: sessions.TokenPair
    root: sessions.TokenPair
    key: ApiKey
    secret: str
    account: PaymentAccount
    reset_token: str
    nina: Membership
    invitation: str
    veras_invitation: str
    phone: Phone
    challenge: str

    @property
    def keys(self) -> str:
        """The path of the merchant's keys."""
        return f"/merchants/{self.merchant.id}/api-keys"

    @property
    def second_session(self) -> str:
        """The id of Vera's second session."""
        return RefreshToken(self.second.refresh_token).session_id  # type: ignore[arg-type]

    def call(self, method: str, path: str, by: str = "", body: Any = None) -> Answer:
        """Call the API by one of the credentials, or by none."""
        pair = getattr(self, by) if by in ("first", "second", "omar", "root") else None
        credential = self.secret if by == "key" else pair.access_token if pair else None
        return call(method, path, credential, body)


def call(method: str, path: str, credential: str | None, body: Any = None) -> Answer:
    """Call the API, in this thread."""
    headers = {"HTTP_AUTHORIZATION": f"Bearer {credential}"} if credential else {}
    sent = "" if body is None else json.dumps(body)
    client = Client(raise_request_exception=False)
    response = client.generic(method, API + path, sent, "application/json", **headers)  # type: ignore[arg-type]
    content = json.loads(response.content) if response.content else {}
    return Answer(response.status_code, content.get("data"))


def sign_in_at_the_console(document: str, password: str) -> Answer:
    """Send the console's sign-in form, in this thread; the session's cookie where it succeeded."""
    client = Client(raise_request_exception=False)
    address = f"10.{next(_numbers) % 256}.{next(_numbers) % 256}.1"  # each has ten tries a minute
    form = {"username": document, "password": password}
    sent = client.post("/admin/login/", form, REMOTE_ADDR=address)
    cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
    if sent.status_code == HTTPStatus.FOUND and cookie is not None:
        return Answer(HTTPStatus.OK, {"console": cookie.value})
    refused = sent.status_code == HTTPStatus.OK  # the form again, with the error
    return Answer(HTTPStatus.UNAUTHORIZED if refused else sent.status_code)


def is_signed_in_at_the_console(cookie: str) -> bool:
    """Whether a session of the console shows its home page."""
    client = Client(raise_request_exception=False)
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie
    return client.get("/admin/").status_code == HTTPStatus.OK


def _document() -> str:
    return f"{next(_numbers) % 10**11:011d}"


def _person(name: str, **fields: Any) -> User:
    return User.objects.create_user(_document(), OLD, name=name, **fields)


def _sign_in(user: User) -> sessions.TokenPair:
    with origin.working_as(origin.Origin(address="127.0.0.1", user_agent="tests")):
        return sessions.start(user)


def make_world(*, second_factor: bool) -> World:
    """A fresh world, committed. With `second_factor`, Vera has one."""
    merchant = Merchant.objects.open("Padaria", f"{next(_numbers) % 10**14:014d}")
    vera = _person("Vera", is_staff=True)  # so that she can sign in to the console too
    omar, mario = _person("Omar"), _person("Mario")
    root = _person("Root", is_superuser=True)
    enrol(omar)
    phone = enrol(vera) if second_factor else _begin_enrolment(vera)
    key, secret = ApiKey.objects.issue(
        merchant, name="Shop", permissions=[str(p) for p in KEY_PERMISSIONS], created_by=vera
    )
    nina, invitation = _invite(merchant, _document(), "Nina")
    bookshop = Merchant.objects.open("Livraria", f"{next(_numbers) % 10**14:014d}")
    MembershipFactory.create(merchant=merchant, user=omar, role=Role.OWNER)
    return World(
        merchant=merchant,
        vera=vera,
        veras=MembershipFactory.create(merchant=merchant, user=vera, role=Role.OWNER),
        mario=MembershipFactory.create(merchant=merchant, user=mario, role=Role.OPERATOR),
        first=_sign_in(vera),
        second=_sign_in(vera),
        omar=_sign_in(omar),
        root=_sign_in(root),
        key=key,
        secret=secret,
        account=PaymentAccount.objects.open(merchant, "Till"),
        reset_token=recovery.make_token(vera),
        nina=nina,
        invitation=invitation,
        veras_invitation=_invite(bookshop, vera.document, "Vera")[1],
        phone=phone,
        challenge=MfaChallenge.objects.issue(vera) if second_factor else "",
    )


def _invite(merchant: Merchant, document: str, name: str) -> tuple[Membership, str]:
    membership, invitation = Membership.objects.invite(
        PLATFORM, merchant, document=document, name=name, role=Role.OPERATOR
    )
    return membership, str(invitation)


def _begin_enrolment(user: User) -> Phone:
    return Phone(factors.enrol_without_one(user.pk).secret, ())
