"""Nine in ten small changes of the rules that matter most are noticed by their tests."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fluxiq.tests import mutants

pytestmark = pytest.mark.proof

FLOOR = 0.9
AT_ONCE = 2  # each with a copy of the project, a database and counters of its own


def test_nine_in_ten_mutants_of_each_module_are_killed(tmp_path: Path) -> None:
    parts = mutants.shares(AT_ONCE)
    directories = [tmp_path / str(number) for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(mutants.tried, directories, parts))
    verdicts = sorted(
        (verdict for each, _ in found for verdict in each), key=lambda verdict: verdict.module
    )
    sys.stdout.writelines(diffs for _, diffs in found)
    for verdict in verdicts:
        sys.stdout.write(f"{verdict.module}: {verdict.killed} of {verdict.total} killed\n")
    assert [v.module for v in verdicts if v.share < FLOOR] == []
