"""A root of its own for a command, as a container has: what is not given to it is not there.

Run as a script in a mount namespace (`unshare --mount`), it puts the root together, enters it, and
becomes the command: `python jail.py ROOT OPTIONS command…`, with the options as JSON. The machine's
/usr and /etc and the Python that runs the tests stand in for a base image.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

BASE = "/base/bin"  # in the jail: where `python` is, as a base image has it on its PATH
DEVICES = ("null", "zero", "full", "random", "urandom")
_NO_NEW_PRIVILEGES = 38  # prctl's PR_SET_NO_NEW_PRIVS
_DENY_WRITE_EXECUTE = 65  # prctl's PR_SET_MDWE, as systemd's MemoryDenyWriteExecute


@dataclass
class Jail:
    """What a command finds: a root directory, what is bound into it, and who it runs as."""

    root: str
    binds: dict[str, str] = field(default_factory=dict)  # path in the jail: path outside, read-only
    empty: list[str] = field(default_factory=lambda: ["/tmp", "/dev/shm"])  # noqa: S108 - in there
    directory: str = "/"
    writable: bool = False  # the root itself, while an image is built
    user: int = 0
    deny_write_execute: bool = False

    def command(self, *command: str) -> list[str]:
        """The command line that runs it in there; the environment is passed on."""
        options = json.dumps(asdict(self))
        return ["unshare", "--mount", sys.executable, "-I", __file__, options, *command]


def unavailable() -> str:
    """Why no jail can be made here; empty where one can."""
    if os.geteuid() != 0:
        return "a root of one's own needs mount namespaces: run the tests as root"
    if shutil.which("unshare") is None:
        return "no unshare: util-linux brings it"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],  # noqa: S607 - as below
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S607 - wherever the system has it


def _bind(source: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    _mount("--bind", source, str(target))
    _mount("-o", "remount,bind,ro", str(target))


def _make(jail: Jail, root: Path) -> None:
    """Mount all that the jail has under its root."""
    _mount("--bind", str(root), str(root))
    for entry in sorted(Path("/").iterdir()):
        if entry.name in {"bin", "sbin", "usr"} or entry.name.startswith("lib"):
            inside = root / entry.name
            if not entry.is_symlink():
                _bind(str(entry), inside)
            elif not inside.is_symlink():
                inside.symlink_to(entry.readlink())
    if not sys.base_prefix.startswith("/usr"):
        _bind(sys.base_prefix, root / sys.base_prefix.lstrip("/"))
    _system(root)
    for target in jail.empty:
        path = root / target.lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", "mode=1777,size=64m,nosuid,nodev", "none", str(path))
    for target, source in jail.binds.items():  # which may lie below one that is empty else
        _bind(source, root / target.lstrip("/"))
    python = root / BASE.lstrip("/")
    python.mkdir(parents=True, exist_ok=True)
    if not (python / "python").is_symlink():
        (python / "python").symlink_to(Path(sys.executable).resolve())
    _mount("-o", "remount,bind,ro", str(root / "dev"))
    if not jail.writable:
        _mount("-o", "remount,bind,ro", str(root))


def _system(root: Path) -> None:
    """/proc, and the devices that every program may count on."""
    (root / "proc").mkdir(exist_ok=True)
    _mount("--rbind", "/proc", str(root / "proc"))
    devices = root / "dev"
    devices.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755,size=1m", "none", str(devices))
    for name in DEVICES:
        (devices / name).touch()
        _mount("--bind", f"/dev/{name}", str(devices / name))
    (devices / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (devices / name).symlink_to(f"/proc/self/fd/{number}")


def main(options: str, *command: str) -> None:
    """Enter the jail and become the command."""
    jail = Jail(**json.loads(options))
    _make(jail, Path(jail.root))
    os.chroot(jail.root)
    os.chdir(jail.directory)
    if jail.user:
        os.setgroups([])
        os.setgid(jail.user)
        os.setuid(jail.user)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    wanted = [_NO_NEW_PRIVILEGES, *[_DENY_WRITE_EXECUTE] * jail.deny_write_execute]
    for option in wanted:
        if prctl(option, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl({option})")
    os.execvpe(command[0], command, os.environ)  # noqa: S606 - the command that was given


def run(
    jail: Jail, environment: dict[str, str], *command: str
) -> "subprocess.CompletedProcess[str]":
    """Run it in there to its end, with that environment alone."""
    return subprocess.run(
        jail.command(*command), env=environment, capture_output=True, text=True, check=False
    )


def arguments() -> Sequence[str]:
    """Of the script."""
    return sys.argv[1:]


if __name__ == "__main__":
    main(*arguments())
