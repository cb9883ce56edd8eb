"""The blocks of README.md and docs/: found, and run as their reader would run them.

A page's `sh`, `http`, `python` and `js` blocks are run in their order and share what they set: the
variables of their environment, and Python's names. A `json` or
`text` block straight below one is what it prints, `…` standing for anything. A block inside an HTML
comment is run too, and not shown. `<!-- not run: why -->` above a block exempts it; so does
`<!-- rehearsed: name -->`, of a block that a test of its own runs.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any

from authn.tests import examples
from fluxiq.tests.engines import AS_IN_PRODUCTION, PROJECT, EngineUnavailable, require
from fluxiq.tests.served import Service

PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
RUNNABLE = {"sh", "http", "python", "js"}
SHOWN = {"json", "text"}
# What the documentation calls the service.
ADDRESSES = ("http://127.0.0.1:8000", "https://auth.example.com")

_BLOCK = re.compile(
    r"(?:<!-- (?P<exempt>not run|rehearsed): (?P<why>[^\n]+) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<source>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, and the output that it shows, if any."""

    page: str
    line: int
    language: str
    source: str
    why_not: str | None  # it is not run
    shows: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every block of a page but those that are another's output."""
    text = page.read_text()
    found: list[Block] = []
    end = -1
    for match in _BLOCK.finditer(text):
        is_output = match["language"] in SHOWN and not text[end : match.start()].strip()
        end = match.end()
        if is_output and found and found[-1].language in RUNNABLE:
            found[-1] = replace(found[-1], shows=match["source"])
            continue
        line = text.count("\n", 0, match.start("source"))
        name = str(page.relative_to(PROJECT))
        found.append(Block(name, line, match["language"], match["source"], match["why"], None))
    return found


def agrees(shown: str, printed: str) -> bool:
    """Whether that is what was printed, `…` standing for anything; JSON however it is set."""
    pattern = re.escape(_canonical(shown)).replace('"…"', ".*").replace("…", ".*")
    return re.fullmatch(pattern, _canonical(printed), re.DOTALL) is not None


def _canonical(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


@dataclass
class Reader:
    """Somebody who tries what a page says, in a directory of their own, on a running service."""

    service: Service
    directory: Path
    variables: dict[str, str]
    names: dict[str, Any] = field(default_factory=dict)

    def run(self, block: Block) -> str:
        """What a block prints. Raises whatever it fails with."""
        source = block.source
        for address in ADDRESSES:
            source = source.replace(address, self.service.gunicorn.url)
        printed: str = getattr(self, f"_{block.language}")(source)
        return printed

    def _sh(self, source: str) -> str:
        variables = self.directory / ".variables"
        keeping = f"set -aeuo pipefail\ntrap 'env -0 > {variables}' EXIT\n{source}"
        printed = self._process("bash", "-c", keeping)
        pairs = variables.read_text().rstrip("\0").split("\0")
        self.variables = dict(pair.split("=", 1) for pair in pairs)
        return printed

    def _http(self, source: str) -> str:
        """The body of the answer to a request as it would go over the wire; it must be a 2xx."""
        head, _, body = Template(source).substitute(self.variables).strip().partition("\n\n")
        (method, path), *headers = (line.split(None, 1) for line in head.splitlines())
        named = {name.rstrip(":"): value for name, value in headers}
        sent = json.loads(body) if body else None
        answer = self.service.call(method, path, None, sent, named)
        assert HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES, answer
        return answer.content.decode()

    def _python(self, source: str) -> str:
        printed, kept = io.StringIO(), dict(os.environ)
        os.environ.update(self.variables)
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(source, "<documentation>", "exec"), self.names)  # noqa: S102 - our own
            self.variables = dict(os.environ)
        finally:
            os.environ.clear()
            os.environ.update(kept)
        return printed.getvalue()

    def _js(self, source: str) -> str:
        """As a module that stands beside the example's."""
        node = str(require(examples.node))
        return self._process(node, "--input-type=module", "-e", source, cwd=examples.EXPRESS)

    def _process(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self.directory,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout


def follow(page: Path, reader: Reader) -> None:
    """Do what a page tells to run, and hold what is printed to what it shows."""
    for block in blocks(page):
        if block.language not in RUNNABLE or block.why_not is not None:
            continue
        try:
            printed = reader.run(block)
        except Exception as error:
            error.add_note(f"in {block}:\n{block.source}")
            raise
        if block.shows is not None:
            assert agrees(block.shows, printed), f"{block} shows {block.shows}, not {printed}"


def _find_curl() -> str:
    """The path of curl. Raises EngineUnavailable."""
    path = shutil.which("curl")
    if path is None:
        raise EngineUnavailable("no curl: apt-get install curl")
    return path


def reader(service: Service, directory: Path) -> Reader:
    """Who stands where the project is, has the demo's credentials, and notices what curl is told.

    The pages use these variables as what their reader has: `MERCHANT`, `KEY` (the demo's, of that
    merchant), and `TOKEN` (an access token of its owner).
    """
    programs = directory / ".programs"
    programs.mkdir()
    for path in (PROJECT / "manage.py", PROJECT / "docs"):
        (directory / path.name).symlink_to(path)
    curl = programs / "curl"
    curl.write_text(f'#!/bin/sh\nexec {require(_find_curl)} --fail-with-body "$@"\n')
    curl.chmod(0o755)
    variables = {
        **os.environ,
        **service.environment,
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{AS_IN_PRODUCTION['PYTHONPATH']}:{PROJECT}",
        "FLUXIQ_AUTH_URL": service.gunicorn.url,
        "MERCHANT": service.demo["merchant_id"],
        "KEY": service.demo["key"],
        "TOKEN": service.sign_in()["access_token"],
    }
    return Reader(service, directory, variables)
