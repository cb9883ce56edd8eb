"""Mutation testing: mutmut on a copy of the project, and what became of each mutant.

mutmut changes no function that is decorated. In the copy each decorator is applied by a statement
below its function instead, which comes to the same, and so those functions are changed too.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxiq.tests.engines import PROJECT
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.valkey_server import start_valkey

# mutmut's own of a mutant's end: a test failed, pytest broke, or the processor time ran out.
_FAILED, _BROKE = 1, 3
_OUT_OF_TIME = {36, 24, -24, 152, 255}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a module's mutants."""

    module: str
    killed: int
    survivors: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many there were."""
        return self.killed + len(self.survivors)

    @property
    def share(self) -> float:
        """The killed ones' part of all, from 0 to 1."""
        return self.killed / self.total


class _Undecorated(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        below: list[ast.stmt] = [
            ast.parse(f"{node.name} = {ast.unparse(decorator)}({node.name})").body[0]
            for decorator in reversed(node.decorator_list)
        ]
        node.decorator_list = []
        return [node, *below]


def undecorated(source: str) -> str:
    """The same module, with each decorator of a function applied by a statement below it."""
    return ast.unparse(_Undecorated().visit(ast.parse(source)))


def options() -> dict[str, Any]:
    """What pyproject.toml tells mutmut."""
    configured = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    told: dict[str, Any] = configured["tool"]["mutmut"]
    return told


def copy_project(target: Path) -> None:
    """What mutmut needs of the project, with the modules ready for it."""
    told = options()
    for name in ("pyproject.toml", *told["source_paths"], *told["also_copy"]):
        if (PROJECT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(PROJECT / name, target / name, ignore=unwanted)
        else:
            shutil.copy2(PROJECT / name, target / name)
    for module in told["only_mutate"]:
        path = target / module
        path.write_text(undecorated(path.read_text()))


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """What mutmut is run in: with PostgreSQL, migrated once for all mutants, and Valkey."""
    with database(shared_postgres()) as url:
        valkey = start_valkey()
        variables = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.test",
            "TEST_DATABASE_URL": url,
            "TEST_DATABASE_IS_READY": "1",
            "TEST_REDIS_URL": valkey.url,
        }
        try:
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=PROJECT, env=variables, check=True)
            yield variables
        finally:
            valkey.stop()


def run_mutmut(directory: Path, variables: Mapping[str, str], *arguments: str) -> str:
    """What `mutmut` prints in a copy of the project. Raises CalledProcessError where it fails."""
    try:
        return subprocess.run(
            [sys.executable, "-m", "mutmut", *arguments],
            cwd=directory, env=variables, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ).stdout  # fmt: skip
    except subprocess.CalledProcessError as error:
        error.add_note(error.output[-10_000:])
        raise


def shares(count: int) -> list[list[str]]:
    """The modules, dealt into so many parts of about as many lines."""
    parts: list[tuple[int, list[str]]] = [(0, []) for _ in range(count)]
    lengths = {name: len((PROJECT / name).read_text().splitlines()) for name in _modules()}
    for name in sorted(lengths, key=lambda name: -lengths[name]):
        parts.sort(key=lambda part: part[0])
        parts[0] = (parts[0][0] + lengths[name], [*parts[0][1], name])
    return [names for _, names in parts]


def _modules() -> list[str]:
    names: list[str] = options()["only_mutate"]
    return names


def tried(directory: Path, modules: Sequence[str]) -> tuple[list[Verdict], str]:
    """What became of these modules' mutants, in a copy made there, and the survivors as diffs."""
    directory.mkdir()
    copy_project(directory)
    patterns = [f"{name.removesuffix('.py').replace('/', '.')}.*" for name in modules]
    with environment() as variables:
        # One at a time: they share the database and the counters.
        run_mutmut(directory, variables, "run", "--max-children", "1", *patterns)
        verdicts = [_verdict(directory, module) for module in modules]
        survivors = [name for verdict in verdicts for name in verdict.survivors]
        diffs = [run_mutmut(directory, variables, "show", name) for name in survivors]
    return verdicts, "".join(diffs)


def _verdict(directory: Path, module: str) -> Verdict:
    told = json.loads((directory / "mutants" / f"{module}.meta").read_text())
    ends: Mapping[str, int] = told["exit_code_by_key"]
    killed = {_FAILED, _BROKE, *_OUT_OF_TIME}
    return Verdict(
        module,
        sum(end in killed for end in ends.values()),
        tuple(name for name, end in ends.items() if end not in killed),
    )
