"""Permissions: what a wildcard grants, what a role grants, what expands to what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxiq.scopes import (
    ALL,
    DESCRIPTIONS,
    Reserved,
    Role,
    Scope,
    ServiceScope,
    expand,
    first_not_covered,
    grants,
    is_known,
    permissions_of,
)

CATALOGUE = [
    "accounts:read", "accounts:write", "pix:read", "pix:write", "transfers:read",
    "transfers:write", "transactions:read", "webhooks:read", "webhooks:write", "users:read",
    "users:write",
]  # fmt: skip
RESERVED = ["api_keys:read", "api_keys:write", "audit:read"]
AT_A_MERCHANT = [*CATALOGUE, *RESERVED]

# What keys and roles can hold: listed scopes, wildcards of their resources, everything.
grantable = st.sampled_from([*CATALOGUE, *(f"{c.partition(':')[0]}:*" for c in CATALOGUE), ALL])
granted_sets = st.lists(grantable, max_size=6)
without_all = st.lists(grantable.filter(lambda g: g != ALL), max_size=6)
# Anything at all that looks like a permission, known or not.
near_misses = st.from_regex(r"[a-z_]{1,8}:[a-z_]{1,8}", fullmatch=True)


class TestCatalogue:
    def test_it_is_the_ten_of_the_source_and_transactions_read(self) -> None:
        assert sorted(Scope) == sorted(CATALOGUE)
        assert len(Scope) == 11

    def test_each_scope_is_described(self) -> None:
        assert set(DESCRIPTIONS) == set(Scope)
        assert all(DESCRIPTIONS.values())

    def test_the_reserved_ones_are_no_scopes(self) -> None:
        assert sorted(Reserved) == RESERVED
        assert not set(Reserved) & set(Scope)

    def test_only_exact_names_are_known(self) -> None:
        assert all(is_known(p) for p in [*AT_A_MERCHANT, "tokens:introspect"])
        for text in (
            "*",
            "pix:*",
            "pix",
            "pix:",
            ":read",
            "",
            "PIX:READ",
            "pix:read ",
            "pix:read\n",
        ):
            assert not is_known(text), text


class TestGrants:
    def test_a_wildcard_grants_by_exact_resource(self) -> None:
        assert grants(["pix:*"], "pix:read")
        assert grants(["pix:*"], "pix:write")

    @pytest.mark.parametrize(
        "other",
        [
            "pixel:read",
            "pi:read",
            "xpix:read",
            "accounts:read",
            "PIX:read",
            " pix:read",
            "pix_:read",
        ],
    )
    def test_a_wildcard_never_grants_another_resource(self, other: str) -> None:
        assert not grants(["pix:*"], other)

    def test_a_scope_grants_itself_alone(self) -> None:
        assert grants(["pix:read"], "pix:read")
        assert not grants(["pix:read"], "pix:write")
        assert not grants(["pix:write"], "pix:read")

    def test_everything_grants_whatever_a_merchant_has(self) -> None:
        assert all(grants([ALL], p) for p in AT_A_MERCHANT)

    def test_nothing_grants_nothing(self) -> None:
        assert not any(grants([], p) for p in AT_A_MERCHANT)

    @pytest.mark.parametrize(
        "odd", ["", ":", ":*", "*:*", "**", "*:read", "pix", "pix:", "* ", "pix*"]
    )
    def test_what_only_looks_like_a_wildcard_grants_nothing(self, odd: str) -> None:
        assert not any(grants([odd], p) for p in AT_A_MERCHANT)

    @given(without_all, near_misses)
    def test_only_the_catalogue_or_everything_is_ever_granted(
        self, granted: list[str], wanted: str
    ) -> None:
        by_name = wanted in granted or wanted.partition(":")[0] + ":*" in granted
        assert grants(granted, wanted) == by_name

    @given(without_all)
    def test_only_everything_covers_the_reserved(self, granted: list[str]) -> None:
        assert not any(grants(granted, p) for p in RESERVED)

    @pytest.mark.parametrize("wildcard", ["api_keys:*", "audit:*"])
    @pytest.mark.parametrize("reserved", RESERVED)
    def test_not_even_their_own_wildcard_covers_the_reserved(
        self, wildcard: str, reserved: str
    ) -> None:
        assert not grants([wildcard], reserved)


class TestRoles:
    def test_each_role_is_as_the_source_has_it(self) -> None:
        assert permissions_of("owner") == ("*",)
        assert sorted(permissions_of("manager")) == ["accounts:*", "pix:*", "transactions:read"]
        assert sorted(permissions_of("operator")) == [
            "accounts:read",
            "pix:write",
            "transactions:read",
        ]

    @pytest.mark.parametrize("role", ["", "Owner", "OWNER", "owner ", "admin", "*", "superuser"])
    def test_an_unknown_role_grants_nothing(self, role: str) -> None:
        assert permissions_of(role) == ()

    @given(st.text())
    def test_no_other_text_is_a_role(self, role: str) -> None:
        assert bool(permissions_of(role)) == (role in set(Role))

    def test_a_manager_manages_accounts_and_pix_and_no_people(self) -> None:
        assert expand(permissions_of("manager")) == (
            "accounts:read",
            "accounts:write",
            "pix:read",
            "pix:write",
            "transactions:read",
        )


class TestExpand:
    def test_everything_is_all_that_a_merchant_has(self) -> None:
        assert list(expand([ALL])) == [*Scope, *Reserved]
        assert sorted(expand([ALL])) == sorted(AT_A_MERCHANT)

    def test_nothing_expands_to_nothing(self) -> None:
        assert expand([]) == ()

    def test_a_service_scope_stands_by_name_alone(self) -> None:
        assert expand(["tokens:introspect"]) == ("tokens:introspect",)
        assert "tokens:introspect" not in expand([ALL, "tokens:*"])

    def test_what_nobody_knows_is_dropped(self) -> None:
        assert expand(["pixel:*", "pixel:read", "", "pix"]) == ()

    @given(granted_sets)
    def test_it_is_idempotent(self, granted: list[str]) -> None:
        once = expand(granted)
        assert expand(once) == once

    @given(granted_sets)
    def test_it_is_exact_and_names_each_once(self, granted: list[str]) -> None:
        expanded = expand(granted)
        assert len(set(expanded)) == len(expanded)
        assert all(is_known(p) for p in expanded)
        assert set(expanded) == {p for p in AT_A_MERCHANT if grants(granted, p)}

    @given(granted_sets)
    def test_order_and_repetition_of_what_is_granted_do_not_matter(
        self, granted: list[str]
    ) -> None:
        assert expand(granted) == expand([*reversed(granted), *granted])

    @given(granted_sets)
    def test_an_iterator_serves_as_well_as_a_list(self, granted: list[str]) -> None:
        assert expand(iter(granted)) == expand(granted)
        assert first_not_covered(iter(granted), iter(granted)) is None


class TestFirstNotCovered:
    @given(granted_sets)
    def test_a_granted_set_covers_itself(self, granted: list[str]) -> None:
        assert first_not_covered(granted, granted) is None

    @given(granted_sets)
    def test_a_granted_set_covers_what_it_expands_to(self, granted: list[str]) -> None:
        assert first_not_covered(granted, expand(granted)) is None

    @given(granted_sets)
    def test_everything_covers_whatever_can_be_granted(self, wanted: list[str]) -> None:
        assert first_not_covered([ALL], wanted) is None

    @given(st.lists(st.sampled_from(AT_A_MERCHANT)))
    def test_everything_covers_everything_known(self, wanted: list[str]) -> None:
        assert first_not_covered([ALL], wanted) is None

    @given(without_all)
    def test_nothing_but_everything_covers_everything(self, granted: list[str]) -> None:
        assert first_not_covered(granted, [ALL]) == ALL

    @given(without_all, st.sampled_from([*RESERVED, "api_keys:*", "audit:*"]))
    def test_nothing_but_everything_covers_the_reserved(
        self, granted: list[str], wanted: str
    ) -> None:
        assert first_not_covered(granted, [wanted]) is not None

    @given(granted_sets, granted_sets)
    def test_what_is_covered_grants_no_more_than_was_held(
        self, held: list[str], wanted: list[str]
    ) -> None:
        covered = first_not_covered(held, wanted) is None
        no_more = set(expand(wanted)) <= set(expand(held)) and ALL not in wanted
        assert covered == (ALL in held or no_more)

    @given(granted_sets, granted_sets)
    def test_what_it_names_is_missing(self, held: list[str], wanted: list[str]) -> None:
        missing = first_not_covered(held, wanted)
        if missing is not None:
            assert missing == ALL or is_known(missing)
            assert missing not in expand(held)

    def test_it_names_the_first_that_is_missing(self) -> None:
        assert (
            first_not_covered(["pix:read"], ["pix:read", "pix:write", "users:read"]) == "pix:write"
        )
        assert first_not_covered(["pix:read"], ["users:read", "pix:write"]) == "users:read"
        assert first_not_covered(["accounts:read"], ["accounts:*", "pix:*"]) == "accounts:write"

    def test_every_scope_of_a_resource_is_as_good_as_its_wildcard(self) -> None:
        assert first_not_covered(["accounts:read", "accounts:write"], ["accounts:*"]) is None

    @pytest.mark.parametrize("wanted", ["pixel:*", "nothing:*", "tokens:*", "api_keys:*", "PIX:*"])
    def test_a_wildcard_of_no_grantable_resource_is_not_held_by_who_holds_nothing(
        self, wanted: str
    ) -> None:
        assert first_not_covered([], [wanted]) is not None

    def test_a_service_scope_is_no_part_of_a_merchants(self) -> None:
        assert set(ServiceScope) == {"tokens:introspect"}
        assert first_not_covered([ALL], ["pix:read", "tokens:introspect"]) == "tokens:introspect"
        assert first_not_covered(["pix:*"], ["tokens:introspect"]) == "tokens:introspect"
