"""The copy of the project that mutants are made of is the project."""

from typing import Any

from fluxiq.tests import mutants
from fluxiq.tests.engines import PROJECT

DECORATED = """
from functools import lru_cache

@lru_cache(maxsize=2)
def twice(number):
    return 2 * number

class Box:
    @property
    def size(self):
        return twice(3)
"""


def test_what_is_decorated_below_a_function_does_the_same() -> None:
    source = mutants.undecorated(DECORATED)
    made: dict[str, Any] = {}
    exec(source, made)  # noqa: S102 - of the text above
    assert "@" not in source
    assert made["Box"]().size == 6
    assert made["twice"].cache_info().maxsize == 2


def test_each_module_and_each_test_that_is_named_is_there() -> None:
    told = mutants.options()
    named = [*told["only_mutate"], *told["pytest_add_cli_args_test_selection"]]
    assert [name for name in named if not (PROJECT / name).is_file()] == []


def test_each_module_is_in_one_share_and_none_is_much_the_larger() -> None:
    shares = mutants.shares(2)
    assert sorted(name for share in shares for name in share) == sorted(
        mutants.options()["only_mutate"]
    )
    lines = [sum(len((PROJECT / name).read_text().splitlines()) for name in s) for s in shares]
    assert max(lines) < 1.3 * min(lines)
