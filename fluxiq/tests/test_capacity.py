"""The capacity model keeps to what it is made of: its figures may change, these do not."""

import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authn.remembered import LIFETIME
from bench import capacity
from bench.assumptions import SKEW, Group, Load, Machines, Measured
from bench.capacity import ALONE
from fluxiq.counters.naming import SHARDS
from fluxiq.tests.engines import PROJECT

LOAD = Load(100_000, 10_000_000)
MEASURED, MACHINES = Measured(), Machines()

rates = st.floats(0.0001, 1000)
loads = st.builds(Load, st.floats(10, 2e6), st.floats(1e3, 1e8), tokens=st.floats(0.01, 1))
COSTS = [field.name for field in fields(Measured) if field.type is float]


def test_the_skew_is_of_all_callers_and_all_requests() -> None:
    assert math.isclose(sum(group.callers for group in SKEW), 1)
    assert math.isclose(sum(group.requests for group in SKEW), 1)


@given(rates)
def test_who_asks_more_often_is_looked_up_less_often_but_at_least_once_in_a_lifetime(
    rate: float,
) -> None:
    share = capacity.share_looked_up(rate)
    assert 0 < share <= 1
    assert capacity.share_looked_up(rate * 2) < share
    assert rate * share * LIFETIME <= 1 + 1e-9  # one entry is made in each lifetime, at most


@pytest.mark.parametrize("rate", [0.02, 0.1, 1.0, 10.0])
def test_the_share_looked_up_is_what_a_simulation_sees(rate: float) -> None:
    seen = capacity.simulate(
        rate, seconds=20_000 / rate, revoked_at=math.inf, lag=0, seed=20_261_124
    )
    assert seen.looked_up == pytest.approx(capacity.share_looked_up(rate), rel=0.05)


@pytest.mark.parametrize(("lag", "where"), [(0.0, "the same database"), (3.0, "replica")])
def test_no_simulated_revocation_outlives_its_bound_and_the_worst_comes_near_it(
    lag: float, where: str
) -> None:
    seen = [
        capacity.simulate(
            20, seconds=60, revoked_at=30 + LIFETIME * seed / 200, lag=lag, seed=seed
        ).accepted_for
        for seed in range(200)
    ]
    (bound,) = (bound for bound in capacity.revocations(lag) if where in bound.where)
    assert 0.9 * bound.worst < max(seen) <= bound.worst
    assert sum(seen) / len(seen) == pytest.approx(bound.usual, rel=0.15)


@given(loads, st.floats(1.01, 50))
def test_more_of_the_same_asks_for_more_of_everything_by_the_same_factor(
    load: Load, factor: float
) -> None:
    one = capacity.uses(load, MEASURED, MACHINES)
    more = capacity.uses(capacity.grown(load, load.requests * factor), MEASURED, MACHINES)
    assert more == pytest.approx({part: used * factor for part, used in one.items()})


@given(loads, st.sampled_from(COSTS))
def test_what_costs_more_asks_for_no_less(load: Load, name: str) -> None:
    dearer = replace(MEASURED, **{name: getattr(MEASURED, name) * 2})
    one = capacity.need(load, MEASURED, MACHINES)
    other = capacity.need(load, dearer, MACHINES)
    for field in fields(one):
        assert getattr(other, field.name) >= getattr(one, field.name)


@pytest.mark.parametrize("name", COSTS)
def test_every_figure_that_was_measured_counts(name: str) -> None:
    dearer = replace(MEASURED, **{name: getattr(MEASURED, name) * 2})
    assert capacity.need(LOAD, dearer, MACHINES) != capacity.need(LOAD, MEASURED, MACHINES)


@given(loads)
def test_fewer_are_looked_up_than_ask_and_the_more_callers_share_the_requests_the_more(
    load: Load,
) -> None:
    few = capacity.need(load, MEASURED, MACHINES).looked_up
    many = capacity.need(replace(load, callers=load.callers * 10), MEASURED, MACHINES).looked_up
    assert 0 < few <= many <= load.requests * (1 + 1e-9)


@given(loads)
def test_at_each_wall_its_part_is_used_up(load: Load) -> None:
    found = capacity.walls(load, MEASURED, MACHINES)
    assert [wall.requests for wall in found] == sorted(wall.requests for wall in found)
    for wall in found:
        there = capacity.grown(load, wall.requests)
        assert capacity.uses(there, MEASURED, MACHINES)[wall.part] == pytest.approx(1)


@given(loads)
def test_in_as_many_installations_as_are_counted_nothing_that_each_has_one_of_is_overused(
    load: Load,
) -> None:
    apart = capacity.installations(load, MEASURED, MACHINES)
    for count, holds in ((apart, True), (apart - 1, False)):
        if count:
            used = capacity.uses(capacity.grown(load, load.requests / count), MEASURED, MACHINES)
            assert (max(used[part] for part in ALONE) <= 1 + 1e-9) is holds


@given(st.integers(1, 64))
def test_the_fullest_node_holds_its_share_or_more_and_all_of_them_hold_all(nodes: int) -> None:
    assert 1 / nodes <= capacity.busiest(nodes) <= 1
    assert capacity.busiest(1) == 1


def test_nodes_are_as_many_as_keep_the_fullest_below_what_it_may_be_used() -> None:
    nodes = capacity.nodes_for(2.0, MACHINES)
    assert 2.0 * capacity.busiest(nodes) <= MACHINES.used
    with pytest.raises(ValueError, match="shards"):
        capacity.nodes_for(float(SHARDS), MACHINES)


def test_the_report_holds_a_row_for_each_size_and_each_wall() -> None:
    text = capacity.report(MEASURED, MACHINES)
    assert all(f"| {requests:,} | {callers:,} |" in text for requests, callers in capacity.SIZES)
    assert all(wall.part in text for wall in capacity.walls(LOAD, MEASURED, MACHINES))


def test_one_group_of_equals_is_the_mean() -> None:
    load = replace(LOAD, skew=(Group(1, 1),))
    rate = load.requests / load.callers
    looked_up = capacity.need(load, MEASURED, MACHINES).looked_up
    assert looked_up == pytest.approx(load.requests * capacity.share_looked_up(rate))


def test_the_document_shows_what_is_calculated_now() -> None:
    assert capacity.report(MEASURED, MACHINES) in (PROJECT / capacity.DOCUMENT).read_text()
