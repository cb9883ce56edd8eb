"""Who is calling, and what they may do where."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxiq.principals import Grant, Kind, Principal
from fluxiq.scopes import Reserved, Role, Scope, ServiceScope, expand, grants, permissions_of

BAKERY, BOOKSHOP, KIOSK = "mer_bakery", "mer_bookshop", "mer_kiosk"


def grant(merchant_id: str, role: str, *, suspended: bool = False) -> Grant:
    return Grant(merchant_id, merchant_id, role, permissions_of(role), suspended=suspended)


def user(*held: Grant, is_superuser: bool = False) -> Principal:
    return Principal(Kind.USER, "usr_1", "Olga", held, is_superuser=is_superuser)


def key(*permissions: str) -> Principal:
    return Principal(Kind.API_KEY, "key_1", "A key", (Grant(BAKERY, "Bakery", None, permissions),))


grant_strategy = st.builds(
    grant,
    st.sampled_from([BAKERY, BOOKSHOP, KIOSK]),
    st.sampled_from([*Role, "nonsense"]),
    suspended=st.booleans(),
)
grant_lists = st.lists(grant_strategy, max_size=3, unique_by=lambda g: g.merchant_id)


class TestPrincipal:
    def test_it_is_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            user().is_superuser = True  # type: ignore[misc]

    def test_kinds_are_named_as_on_the_wire(self) -> None:
        assert [str(k) for k in Kind] == ["user", "api_key"]
        assert user().is_user
        assert not key("pix:read").is_user

    def test_a_role_at_one_merchant_says_nothing_of_another(self) -> None:
        caller = user(grant(BAKERY, "owner"), grant(BOOKSHOP, "operator"))
        assert caller.holds(Scope.USERS_WRITE, BAKERY)
        assert not caller.holds(Scope.USERS_WRITE, BOOKSHOP)
        assert not caller.holds(Scope.ACCOUNTS_READ, KIOSK)
        assert not caller.belongs_to(KIOSK)
        assert caller.merchants_with([Scope.USERS_WRITE]) == [BAKERY]
        assert caller.merchants_with([Scope.ACCOUNTS_READ]) == [BAKERY, BOOKSHOP]

    def test_permissions_stand_as_granted(self) -> None:
        assert user(grant(BAKERY, "owner")).permissions_at(BAKERY) == ("*",)
        assert "accounts:*" in user(grant(BAKERY, "manager")).permissions_at(BAKERY)

    def test_at_a_suspended_merchant_nothing_is_held_but_it_exists(self) -> None:
        caller = user(grant(BAKERY, "owner", suspended=True))
        assert caller.belongs_to(BAKERY)
        assert caller.permissions_at(BAKERY) == ()
        assert not caller.holds_anywhere(Scope.ACCOUNTS_READ)
        assert caller.merchants_with(()) == []
        assert caller.first_missing(["pix:read"], BAKERY) == "pix:read"

    def test_a_superuser_holds_everything_everywhere(self) -> None:
        root = user(is_superuser=True)
        assert root.belongs_to(KIOSK)
        assert root.permissions_at(KIOSK) == ("*",)
        assert all(root.holds(p, KIOSK) for p in (*Scope, *Reserved))
        assert all(root.holds_anywhere(p) for p in (*Scope, *Reserved))
        assert root.first_missing(["*"], KIOSK) is None

    def test_not_even_a_superuser_holds_what_service_keys_hold(self) -> None:
        root = user(grant(BAKERY, "owner"), is_superuser=True)
        for permission in ServiceScope:
            assert not root.holds(permission, BAKERY)
            assert not root.holds_anywhere(permission)
            assert root.first_missing([permission], BAKERY) == permission

    def test_a_superuser_is_served_where_their_own_merchant_is_suspended(self) -> None:
        root = user(grant(BAKERY, "operator", suspended=True), is_superuser=True)
        assert root.holds(Scope.USERS_WRITE, BAKERY)

    def test_a_key_holds_what_is_listed(self) -> None:
        caller = key("accounts:read", "pix:write")
        assert caller.holds(Scope.ACCOUNTS_READ, BAKERY)
        assert not caller.holds(Scope.ACCOUNTS_WRITE, BAKERY)
        assert not any(caller.holds(p, BAKERY) for p in Reserved)
        assert not caller.is_service

    def test_a_service_key_holds_nothing_at_any_merchant(self) -> None:
        service = Principal(
            Kind.API_KEY, "key_s", "Ledger", service_permissions=("tokens:introspect",)
        )
        assert service.is_service
        assert not any(service.holds_anywhere(p) for p in (*Scope, *Reserved))
        assert not service.belongs_to(BAKERY)
        assert service.held_at_every([]) == (ServiceScope.TOKENS_INTROSPECT,)

    def test_what_is_held_at_every_merchant_is_what_all_have_in_common(self) -> None:
        caller = user(grant(BAKERY, "manager"), grant(BOOKSHOP, "operator"))
        assert caller.held_at_every([BAKERY]) == expand(permissions_of("manager"))
        assert caller.held_at_every([BAKERY, BOOKSHOP]) == (
            "accounts:read",
            "pix:write",
            "transactions:read",
        )
        assert caller.held_at_every([BAKERY, KIOSK]) == ()

    @given(grant_lists)
    def test_holding_anywhere_is_holding_at_one_of_them(self, held: list[Grant]) -> None:
        caller = user(*held)
        for permission in (*Scope, *Reserved):
            where = [g.merchant_id for g in held if caller.holds(permission, g.merchant_id)]
            assert caller.holds_anywhere(permission) == bool(where)
            assert caller.merchants_with([permission]) == where

    @given(grant_lists)
    def test_what_is_held_at_every_merchant_is_held_at_each(self, held: list[Grant]) -> None:
        caller = user(*held)
        merchant_ids = [g.merchant_id for g in held]
        for permission in caller.held_at_every(merchant_ids):
            assert all(grants(caller.permissions_at(m), permission) for m in merchant_ids)

    @given(grant_lists)
    def test_no_grant_is_no_permission(self, held: list[Grant]) -> None:
        caller = user(*held)
        for merchant_id in {BAKERY, BOOKSHOP, KIOSK} - {g.merchant_id for g in held}:
            assert not caller.belongs_to(merchant_id)
            assert caller.permissions_at(merchant_id) == ()
            assert caller.first_missing(["accounts:read"], merchant_id) == "accounts:read"
