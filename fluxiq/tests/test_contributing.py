"""What docs/contribute.md draws is what import-linter holds, and its diffs fit the code."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from fluxiq.tests.documentation import blocks
from fluxiq.tests.engines import PROJECT, EngineUnavailable, require

pytestmark = pytest.mark.once

PAGE = PROJECT / "docs" / "contribute.md"
DIFFS = {b.line: b.source for b in blocks(PAGE) if b.language == "diff"}
COPIED = ("accounts", "authn", "fluxiq", "merchants", "docs", "pytest.ini", "pyproject.toml")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project, to apply diffs to."""
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "images")
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def find_git() -> str:
    """The command that applies diffs. Raises EngineUnavailable."""
    git = shutil.which("git")
    if git is None:
        raise EngineUnavailable("git is not installed")
    return git


def apply(diff: str, tree: Path) -> None:
    """Apply a diff, whose context has to stand in the tree as it is quoted."""
    # Above the copy there may be a repository, whose paths those of the diff are not.
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(
        [require(find_git), "apply", "--whitespace=error-all", "-"],
        input=diff, text=True, cwd=tree, env=outside, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def in_tree(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a module of this Python says of the tree, whatever engines this run itself is on."""
    names = ("PYTEST_", "TEST_", "DJANGO_SETTINGS_MODULE")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree, env=variables, text=True, capture_output=True, check=False,
    )  # fmt: skip


def test_the_floors_are_drawn_as_import_linter_holds_them() -> None:
    drawing = next(b.source for b in blocks(PAGE) if "fluxiq.urls " in b.source)
    rows = [re.findall(r"(?:^|· )([\w.*]+)", row) for row in drawing.splitlines()]
    config = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts = {c["id"]: c for c in config["tool"]["importlinter"]["contracts"]}
    layers = [sorted(layer.split(" : ")) for layer in contracts["floors"]["layers"]]
    assert [sorted(row) for row in rows if row][:-1] == layers
    assert contracts["ground"]["forbidden_modules"] == ["accounts", "authn", "merchants"]


def test_no_import_leads_back_to_where_it_began() -> None:
    apps = ("accounts", "authn", "fluxiq", "merchants")
    graph = grimp.build_graph(*apps, cache_dir=None, exclude_type_checking_imports=True)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(list(TopologicalSorter(imported).static_order())) == len(imported)


def sources() -> dict[str, str]:
    """The text of each Python file of the project, by its path."""
    folders = ("accounts", "authn", "bench", "fluxiq", "merchants")
    found = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    return {str(path.relative_to(PROJECT)): path.read_text() for path in found}


def test_no_test_file_imports_from_another() -> None:
    another = re.compile(r"^(from|import) [\w.]+\.test_\w+", re.MULTILINE)
    assert [name for name, text in sources().items() if another.search(text)] == []


def test_five_changes_are_shown() -> None:
    assert len(DIFFS) == 5


@pytest.mark.parametrize("diff", DIFFS.values(), ids=lambda diff: diff.split()[1])
def test_a_diff_brings_a_test(diff: str) -> None:
    assert re.search(r"^\+\+\+ b/\w+/tests/test_\w+\.py$", diff, re.MULTILINE)


def test_the_diffs_fit_the_code_and_the_tests_in_them_pass(tree: Path) -> None:
    for diff in DIFFS.values():
        apply(diff, tree)
    changed = sorted(set(re.findall(r"^\+\+\+ b/(.+)$", "".join(DIFFS.values()), re.MULTILINE)))
    for check in (["check"], ["format", "--check"]):
        judged = in_tree(tree, "ruff", *check, *changed)
        assert judged.returncode == 0, judged.stdout
    tests = [path for path in changed if "/tests/" in path]
    ran = in_tree(tree, "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert ran.returncode == 0, ran.stdout
