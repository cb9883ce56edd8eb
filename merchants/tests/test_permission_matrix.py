"""Who may do what: every route of merchants, accounts, members and keys for every caller.

Source: contract, section 2. A cell is the status, and for a 403 the `required_permission`.
"""

from typing import Any

from django.db import transaction
from django.test import override_settings

from accounts.models import User
from authn.models import ApiKey
from fluxiq.audit.models import AuditEvent
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import UserFactory, issue_key, join
from merchants.models import Membership

OK, MADE, GONE, BAD, OUT, NONE = 200, 201, 204, 400, 401, 404
Cell = int | str | None  # a status; a text is 403 naming that permission; None is 403 naming none

READ_ACCOUNTS, WRITE_ACCOUNTS = "accounts:read", "accounts:write"
READ_USERS, WRITE_USERS = "users:read", "users:write"
READ_KEYS, WRITE_KEYS = "api_keys:read", "api_keys:write"

# `twin` owns the bakery and operates the bookshop. Keys: `whole` holds every scope at the bakery,
# `reader` accounts:read there, `writer` users:write there, `payer` pix:write there, `shelf` every
# scope at the bookshop, `service` belongs to no merchant.
CALLERS = (
    "olga", "mario", "otto", "ana", "twin", "root", "sam",
    "whole", "reader", "writer", "payer", "shelf", "service", "nobody",
)  # fmt: skip

LIST_ACCOUNTS = (OK, OK, OK, OK, OK, OK, READ_ACCOUNTS,
                 OK, OK, READ_ACCOUNTS, READ_ACCOUNTS, OK, READ_ACCOUNTS, OUT)  # fmt: skip
LIST_USERS = (OK, READ_USERS, READ_USERS, OK, OK, OK, READ_USERS,
              OK, READ_USERS, READ_USERS, READ_USERS, OK, READ_USERS, OUT)  # fmt: skip
BAKERY_KEYS_READ = (OK, READ_KEYS, READ_KEYS, NONE, OK, OK, NONE,
                    READ_KEYS, READ_KEYS, READ_KEYS, READ_KEYS, READ_KEYS, READ_KEYS,
                    OUT)  # fmt: skip
BOOKSHOP_KEYS_READ = (NONE, NONE, NONE, OK, READ_KEYS, OK, NONE,
                      READ_KEYS, READ_KEYS, READ_KEYS, READ_KEYS, READ_KEYS, READ_KEYS,
                      OUT)  # fmt: skip


def writing(row: tuple[Cell, ...], success: int) -> tuple[Cell, ...]:
    """The row of a writing method of the keys, from that of the reading one."""
    to: dict[Cell, Cell] = {READ_KEYS: WRITE_KEYS, OK: success}
    return tuple(to.get(cell, cell) for cell in row)


# fmt: off
MATRIX: list[tuple[str, str, dict[str, Any] | None, tuple[Cell, ...]]] = [
    # The callers:                olga           mario           otto            ana
    #     twin            root  sam             whole  reader          writer
    #     payer           shelf           service         nobody
    ("GET", "/merchants", None, (OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OUT)),
    ("GET", "/merchants/{bakery}", None,
     (OK, OK, OK, NONE, OK, OK, NONE, OK, OK, OK, OK, NONE, NONE, OUT)),
    ("GET", "/merchants/{bookshop}", None,
     (NONE, NONE, NONE, OK, OK, OK, NONE, NONE, NONE, NONE, NONE, OK, NONE, OUT)),
    ("GET", "/merchants/{unknown_merchant}", None, (NONE,) * 13 + (OUT,)),

    ("GET", "/auth/memberships", None, (OK,) * 7 + (None,) * 6 + (OUT,)),
    ("DELETE", "/auth/memberships/{ottos}", None,
     (NONE, NONE, GONE, NONE, NONE, NONE, NONE, None, None, None, None, None, None, OUT)),

    ("GET", "/accounts", None, LIST_ACCOUNTS),
    ("GET", "/accounts?merchant_id={bakery}", None,
     (OK, OK, OK, NONE, OK, OK, NONE, OK, OK, READ_ACCOUNTS, READ_ACCOUNTS, NONE, NONE, OUT)),
    ("GET", "/accounts?merchant_id={bookshop}", None,
     (NONE, NONE, NONE, OK, OK, OK, NONE, NONE, NONE, NONE, NONE, OK, NONE, OUT)),
    ("GET", "/accounts?merchant_id={unknown_merchant}", None,
     (NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, OUT)),
    ("POST", "/accounts", {"name": "Savings", "merchant_id": "{bakery}"},
     (MADE, MADE, WRITE_ACCOUNTS, NONE, MADE, MADE, NONE, MADE, WRITE_ACCOUNTS,
      WRITE_ACCOUNTS, WRITE_ACCOUNTS, NONE, NONE, OUT)),
    ("POST", "/accounts", {"name": "Savings", "merchant_id": "{bookshop}"},
     (NONE, NONE, NONE, MADE, WRITE_ACCOUNTS, MADE, NONE, NONE, NONE, NONE, NONE, MADE, NONE,
      OUT)),
    ("POST", "/accounts", {"name": "Savings"},
     (MADE, MADE, WRITE_ACCOUNTS, MADE, BAD, BAD, WRITE_ACCOUNTS, MADE, WRITE_ACCOUNTS,
      WRITE_ACCOUNTS, WRITE_ACCOUNTS, MADE, WRITE_ACCOUNTS, OUT)),
    ("GET", "/accounts/{till}", None,
     (OK, OK, OK, NONE, OK, OK, NONE, OK, OK, READ_ACCOUNTS, READ_ACCOUNTS, NONE, NONE, OUT)),
    ("GET", "/accounts/{shelf_account}", None,
     (NONE, NONE, NONE, OK, OK, OK, NONE, NONE, NONE, NONE, NONE, OK, NONE, OUT)),
    ("GET", "/accounts/{unknown_account}", None, (NONE,) * 13 + (OUT,)),
    ("PATCH", "/accounts/{till}", {"name": "Renamed"},
     (OK, OK, WRITE_ACCOUNTS, NONE, OK, OK, NONE, OK, WRITE_ACCOUNTS, WRITE_ACCOUNTS,
      WRITE_ACCOUNTS, NONE, NONE, OUT)),
    ("PATCH", "/accounts/{shelf_account}", {"name": "Renamed"},
     (NONE, NONE, NONE, OK, WRITE_ACCOUNTS, OK, NONE, NONE, NONE, NONE, NONE, OK, NONE, OUT)),
    ("PATCH", "/accounts/{unknown_account}", {"name": "Renamed"}, (NONE,) * 13 + (OUT,)),

    ("GET", "/users", None, LIST_USERS),
    ("GET", "/users?merchant_id={bakery}", None,
     (OK, READ_USERS, READ_USERS, NONE, OK, OK, NONE, OK, READ_USERS, READ_USERS, READ_USERS,
      NONE, NONE, OUT)),
    ("GET", "/users?merchant_id={bookshop}", None,
     (NONE, NONE, NONE, OK, READ_USERS, OK, NONE, NONE, NONE, NONE, NONE, OK, NONE, OUT)),
    ("POST", "/users",
     {"merchant_id": "{bakery}", "document": "98765432100", "name": "Nina", "role": "operator"},
     (MADE, WRITE_USERS, WRITE_USERS, NONE, MADE, MADE, NONE, MADE, WRITE_USERS,
      READ_ACCOUNTS, WRITE_USERS, NONE, NONE, OUT)),
    ("POST", "/users",
     {"merchant_id": "{bookshop}", "document": "98765432100", "name": "Nina", "role": "operator"},
     (NONE, NONE, NONE, MADE, WRITE_USERS, MADE, NONE, NONE, NONE, NONE, NONE, MADE, NONE,
      OUT)),
    ("POST", "/users",
     {"merchant_id": "{bakery}", "document": "98765432100", "name": "Nina", "role": "owner"},
     (MADE, WRITE_USERS, WRITE_USERS, NONE, MADE, MADE, NONE, "*", WRITE_USERS, "*",
      WRITE_USERS, NONE, NONE, OUT)),
    ("POST", "/users", {"document": "98765432100", "name": "Nina", "role": "operator"},
     (MADE, WRITE_USERS, WRITE_USERS, MADE, BAD, BAD, WRITE_USERS, MADE, WRITE_USERS,
      READ_ACCOUNTS, WRITE_USERS, MADE, WRITE_USERS, OUT)),
    ("GET", "/users/{ottos}", None,
     (OK, READ_USERS, READ_USERS, NONE, OK, OK, NONE, OK, READ_USERS, READ_USERS, READ_USERS, NONE,
      NONE, OUT)),
    ("GET", "/users/{anas}", None,
     (NONE, NONE, NONE, OK, READ_USERS, OK, NONE, NONE, NONE, NONE, NONE, OK, NONE, OUT)),
    ("GET", "/users/{unknown_member}", None, (NONE,) * 13 + (OUT,)),
    ("PATCH", "/users/{ottos}", {"name": "Otto II"},
     (OK, WRITE_USERS, WRITE_USERS, NONE, OK, OK, NONE, OK, WRITE_USERS, READ_ACCOUNTS,
      WRITE_USERS, NONE, NONE, OUT)),
    ("PATCH", "/users/{ottos}", {"role": "manager"},
     (OK, WRITE_USERS, WRITE_USERS, NONE, OK, OK, NONE, OK, WRITE_USERS, READ_ACCOUNTS,
      WRITE_USERS, NONE, NONE, OUT)),
    ("PATCH", "/users/{ottos}", {"role": "owner"},
     (OK, WRITE_USERS, WRITE_USERS, NONE, OK, OK, NONE, "*", WRITE_USERS, READ_ACCOUNTS,
      WRITE_USERS, NONE, NONE, OUT)),
    ("PATCH", "/users/{olgas}", {"name": "Olga II"},
     (OK, WRITE_USERS, WRITE_USERS, NONE, OK, OK, NONE, "*", WRITE_USERS, "*", WRITE_USERS, NONE,
      NONE, OUT)),
    ("PATCH", "/users/{anas}", {"name": "Ana II"},
     (NONE, NONE, NONE, OK, WRITE_USERS, OK, NONE, NONE, NONE, NONE, NONE, "*", NONE, OUT)),
    ("DELETE", "/users/{ottos}", None,
     (GONE, WRITE_USERS, WRITE_USERS, NONE, GONE, GONE, NONE, GONE, WRITE_USERS, READ_ACCOUNTS,
      WRITE_USERS, NONE, NONE, OUT)),
    ("DELETE", "/users/{olgas}", None,
     (409, WRITE_USERS, WRITE_USERS, NONE, GONE, GONE, NONE, "*", WRITE_USERS, "*", WRITE_USERS,
      NONE, NONE, OUT)),
    ("DELETE", "/users/{anas}", None,
     (NONE, NONE, NONE, 409, WRITE_USERS, 409, NONE, NONE, NONE, NONE, NONE, "*", NONE, OUT)),
    ("DELETE", "/users/{unknown_member}", None, (NONE,) * 13 + (OUT,)),

    ("GET", "/merchants/{bakery}/api-keys", None, BAKERY_KEYS_READ),
    ("GET", "/merchants/{bookshop}/api-keys", None, BOOKSHOP_KEYS_READ),
    ("GET", "/merchants/{bakery}/api-keys/{key}", None, BAKERY_KEYS_READ),
    ("GET", "/merchants/{bookshop}/api-keys/{shelf_key}", None, BOOKSHOP_KEYS_READ),
    ("GET", "/merchants/{bakery}/api-keys/{key}/usage", None, BAKERY_KEYS_READ),
    ("POST", "/merchants/{bakery}/api-keys", {"name": "K", "permissions": ["pix:read"]},
     writing(BAKERY_KEYS_READ, MADE)),
    ("PATCH", "/merchants/{bakery}/api-keys/{key}", {"name": "K"}, writing(BAKERY_KEYS_READ, OK)),
    ("POST", "/merchants/{bakery}/api-keys/{key}/rotate", {}, writing(BAKERY_KEYS_READ, MADE)),
    ("DELETE", "/merchants/{bakery}/api-keys/{key}", None, writing(BAKERY_KEYS_READ, GONE)),
    ("DELETE", "/merchants/{bookshop}/api-keys/{shelf_key}", None,
     writing(BOOKSHOP_KEYS_READ, GONE)),
    # A key is found at its own merchant alone, by whoever it is.
    ("GET", "/merchants/{bookshop}/api-keys/{key}", None,
     (NONE, NONE, NONE, NONE, NONE, NONE, NONE, *(READ_KEYS,) * 6, OUT)),
]
# fmt: on


@override_settings(
    RATE_LIMIT_JWT=(100_000, 60),
    RATE_LIMIT_API_KEY=(100_000, 60),
    RATE_LIMIT_ANONYMOUS=(10_000, 60),
)
class PermissionMatrixTests(ApiTestCase):
    callers: dict[str, User | str | None]
    names: dict[str, str]

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        twin = UserFactory.create(name="Twin")
        join(cls.bakery, twin, Role.OWNER)
        join(cls.bookshop, twin, Role.OPERATOR)
        a_key, _ = issue_key(cls.bakery)
        shelf_key, shelf = issue_key(cls.bookshop, *Scope)
        cls.callers = {
            "olga": cls.olga,
            "mario": cls.mario,
            "otto": cls.otto,
            "ana": cls.ana,
            "twin": twin,
            "root": cls.root,
            "sam": cls.sam,
            "whole": issue_key(cls.bakery, *Scope)[1],
            "reader": issue_key(cls.bakery, Scope.ACCOUNTS_READ)[1],
            "writer": issue_key(cls.bakery, Scope.USERS_WRITE)[1],
            "payer": issue_key(cls.bakery, Scope.PIX_WRITE)[1],
            "shelf": shelf,
            "service": ApiKey.objects.issue_service_key(name="Ledger")[1],
            "nobody": None,
        }

        def member(user: User) -> str:
            return str(Membership.objects.exclude(user=twin).get(user=user).id)

        cls.names = {
            "bakery": cls.bakery.id,
            "bookshop": cls.bookshop.id,
            "till": cls.till.id,
            "shelf_account": cls.shelf.id,
            "olgas": member(cls.olga),
            "ottos": member(cls.otto),
            "anas": member(cls.ana),
            "key": a_key.id,
            "shelf_key": shelf_key.id,
            "unknown_merchant": "mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K",
            "unknown_account": "acc_01HQGX3VJ8Z5Y6W7T8R9QPNM0K",
            "unknown_member": "mbr_01HQGX3VJ8Z5Y6W7T8R9QPNM0K",
        }

    def cell(self, response: Any) -> Cell:
        """What the answer says, as the table writes it."""
        if response.status_code != 403:
            return int(response.status_code)
        permission: str | None = self.error(response, 403)["required_permission"]
        return permission

    def filled(self, body: dict[str, Any] | None) -> dict[str, Any] | None:
        """The body with the ids of the cast in the place of their names."""
        if body is None:
            return None
        return {
            field: value.format(**self.names) if isinstance(value, str) else value
            for field, value in body.items()
        }

    def test_every_route_answers_every_caller_as_the_table_says(self) -> None:
        for caller in self.callers.values():
            self.get("/auth/me", caller)  # signs in, and notes the use of a key, once
        for method, path, body, row in MATRIX:
            assert len(row) == len(CALLERS), path
            sent = self.filled(body)
            for name, expected in zip(CALLERS, row, strict=True):
                with self.subTest(f"{method} {path} {body or ''} as {name}"):
                    events = AuditEvent.objects.count()
                    with transaction.atomic():
                        response = self.call(
                            method, path.format(**self.names), self.callers[name], sent
                        )
                        written = AuditEvent.objects.count() - events
                        transaction.set_rollback(True)
                    assert self.cell(response) == expected, response.content
                    allowed = response.status_code < 400 and method != "GET"
                    assert written == (1 if allowed else 0)

    def test_the_table_has_every_caller_and_every_method_of_every_route(self) -> None:
        assert sorted(CALLERS) == sorted(self.callers)
        covered = {
            (method, path.partition("?")[0].split("/")[1], path.partition("?")[0].count("/"))
            for method, path, _, _ in MATRIX
        }
        assert covered >= {
            ("GET", "merchants", 1),
            ("GET", "merchants", 2),
            ("GET", "accounts", 1),
            ("POST", "accounts", 1),
            ("GET", "accounts", 2),
            ("PATCH", "accounts", 2),
            ("GET", "users", 1),
            ("POST", "users", 1),
            ("GET", "users", 2),
            ("PATCH", "users", 2),
            ("DELETE", "users", 2),
        }

    def test_a_credential_that_is_no_good_is_401_everywhere(self) -> None:
        for method, path, body, _ in MATRIX:
            for credential in ("sk_live_" + "0" * 38, "eyJhbGciOiJub25lIn0.e30.", "x"):
                response = self.call(method, path.format(**self.names), credential, body)
                self.assert_unauthorized(response)

    def test_no_charset_of_a_request_hides_the_permission_that_a_gateway_asks_about(self) -> None:
        # Gateways hand on the headers of the request that they ask about, its content type too.
        for charset in ("utf-8", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp037", "nonsense"):
            with self.subTest(charset):
                response = self.get(
                    "/auth/verify?permission=accounts:write",
                    self.otto,
                    CONTENT_TYPE=f"text/plain; charset={charset}",
                )
                self.assert_forbidden(response, "accounts:write")
