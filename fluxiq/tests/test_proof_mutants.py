"""Nine in ten small changes of the rules that matter most are noticed by their tests."""

import sys
from pathlib import Path

import pytest

from fluxiq.tests import mutants

pytestmark = pytest.mark.proof

FLOOR = 0.9


def test_nine_in_ten_mutants_of_each_module_are_killed(tmp_path: Path) -> None:
    mutants.copy_project(tmp_path)
    with mutants.environment() as variables:
        # One at a time: they share the database and the counters.
        mutants.run_mutmut(tmp_path, variables, "run", "--max-children", "1")
    verdicts = mutants.verdicts(tmp_path)
    for verdict in verdicts:
        for name in verdict.survivors:
            sys.stdout.write(mutants.run_mutmut(tmp_path, variables, "show", name))
    for verdict in verdicts:
        sys.stdout.write(f"{verdict.module}: {verdict.killed} of {verdict.total} killed\n")
    assert [v.module for v in verdicts if v.share < FLOOR] == []
