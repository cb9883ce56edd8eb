"""The Dockerfile, built and run step by step in a scratch directory, without a container engine.

`Image` reads the instructions of the file and does each: RUN in a jail whose root is the image's,
COPY by .dockerignore's rules, and then CMD and HEALTHCHECK as USER on a root that is read-only.
"""

import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from fluxiq.tests.engines import PROJECT
from fluxiq.tests.jail import BASE, Jail, run

USER = 10001  # whom the image, and every other way of deploying, runs the service as


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, with continued lines joined: (RUN, what follows it)."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), rest.strip()) for name, _, rest in found]


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore keeps a path, or a directory that holds it, out of the build.

    The last pattern that matches decides; one that begins with `!` lets in again.
    """
    parts = path.split("/")
    prefixes = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    out = False
    for pattern in patterns:
        expression = _expression(pattern.lstrip("!").strip("/"))
        if any(re.fullmatch(expression, prefix) for prefix in prefixes):
            out = not pattern.startswith("!")
    return out


def _expression(pattern: str) -> str:
    """A pattern's regular expression: * is within a directory, ** any number of them."""
    parts = [
        "(?:.*/)?" if part == "**" else f"{re.escape(part).replace(chr(92) + '*', '[^/]*')}/"
        for part in pattern.split("/")
    ]
    return "".join(parts).removesuffix("/")


def context(directory: Path = PROJECT) -> list[str]:
    """The files that `COPY . .` takes, by their paths, of those that stand there now."""
    lines = (directory / ".dockerignore").read_text().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    skipped = {".git", ".venv", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    found = []
    for top in directory.iterdir():
        if top.name in skipped:
            continue
        files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        found += [path.relative_to(directory).as_posix() for path in files]
    return sorted(path for path in found if not ignored(path, patterns))


@dataclass
class Stage:
    """The state that instructions build up."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": f"{BASE}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    directory: str = "/"
    user: int = 0
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


class Image:
    """The last stage of the Dockerfile, built below `scratch`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._stages: dict[str, Stage] = {}
        self.steps: list[str] = []  # what was done
        steps = instructions((PROJECT / "Dockerfile").read_text())
        starts = [number for number, (name, _) in enumerate(steps) if name == "FROM"]
        for start, end in zip(starts, [*starts[1:], len(steps)], strict=True):
            _, _, name = steps[start][1].partition(" AS ")
            self.stage = self._stage(name or "final")
            for instruction, rest in steps[start + 1 : end]:
                getattr(self, f"_{instruction.lower()}")(rest)
                self.steps.append(f"{instruction} {rest}")

    def _stage(self, name: str) -> Stage:
        root = self._scratch / name
        root.mkdir(parents=True)
        # Of the machine's own: names of users, certificates, how names are resolved.
        (root / "etc").mkdir()
        for entry in ("passwd", "group", "shadow", "gshadow", "login.defs", "nsswitch.conf"):
            if (source := Path("/etc", entry)).is_file():
                shutil.copy2(source, root / "etc")
        for entry in ("resolv.conf", "hosts", "pip.conf", "ld.so.cache"):
            if (source := Path("/etc", entry)).is_file():
                shutil.copy(source, root / "etc")
        for entry in ("ssl", "alternatives"):
            if (source := Path("/etc", entry)).is_dir():
                shutil.copytree(source, root / "etc" / entry, symlinks=True)
        self._stages[name] = stage = Stage(root)
        return stage

    def jail(self, *, writable: bool = False, user: int = 0) -> Jail:
        """The image as a command finds it."""
        return Jail(
            root=str(self.stage.root),
            directory=self.stage.directory,
            writable=writable,
            user=user,
        )

    def _inside(self, path: str) -> Path:
        joined = path if path.startswith("/") else f"{self.stage.directory}/{path}"
        return self.stage.root / joined.strip("/").removesuffix("/.")

    def _run(self, line: str) -> None:
        environment = {**self.stage.environment, **self._outside()}
        done = run(self.jail(writable=True), environment, "/bin/sh", "-c", line)
        assert done.returncode == 0, f"RUN {line}\n{done.stdout}{done.stderr}"

    def _outside(self) -> dict[str, str]:
        """What tells pip here where packages come from: it may be a mirror."""
        return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}

    def _env(self, rest: str) -> None:
        for item in shlex.split(rest):
            name, _, value = item.partition("=")
            self.stage.environment[name] = value.replace("$PATH", self.stage.environment["PATH"])

    def _workdir(self, rest: str) -> None:
        self.stage.directory = rest
        self._inside(rest).mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        *options, source, target = rest.split()
        if options:
            name = options[0].removeprefix("--from=")
            if name in self._stages:
                origin = self._stages[name].root / source.lstrip("/")
                shutil.copytree(origin, self._inside(target), symlinks=True)
            else:
                self._inside(target).mkdir(parents=True, exist_ok=True)  # it is bound there
            return
        files = context() if source == "." else [source]
        for path in files:
            assert not ignored(path, (PROJECT / ".dockerignore").read_text().splitlines()[1:]), path
            place = self._inside(target) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / path, place)

    def _user(self, rest: str) -> None:
        self.stage.user = int(rest.partition(":")[0])

    def _expose(self, rest: str) -> None:
        assert rest == self.stage.environment["PORT"]

    def _healthcheck(self, rest: str) -> None:
        self.stage.health = json.loads(rest[rest.index("CMD") + 3 :])

    def _cmd(self, rest: str) -> None:
        self.stage.command = json.loads(rest)
