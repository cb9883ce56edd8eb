"""Two servers on one PostgreSQL and one Valkey, each with ring files that a test changes.

A ring is changed on one server at a time, by restart or by HUP, as an operator would.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.served import NO_LIMITS, SECRETS, SERVERS, Service, serving

RINGS = ("JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "MFA_KEYS", "AUDIT_KEYS")
WAYS = ("restart", "HUP")


@dataclass(frozen=True)
class Server:
    """One of the two: its service, and the directory of the files that hold its rings."""

    service: Service
    files: Path

    def take(self, values: Mapping[str, str], way: str) -> None:
        """Change these variables of this server; return once no process has the old values."""
        gunicorn = self.service.gunicorn
        for name, value in values.items():
            (self.files / name).write_text(value)
        if way == "HUP":
            gunicorn.reload()
            return
        gunicorn.__exit__()
        gunicorn.__enter__()


def from_files(directory: Path, values: Mapping[str, str]) -> dict[str, str]:
    """The environment that has these variables in files of this directory."""
    directory.mkdir()
    environment: dict[str, str] = {}
    for name, value in values.items():
        (directory / name).write_text(value)
        environment |= {name: "", f"{name}_FILE": str(directory / name)}
    return environment


@contextmanager
def two_servers(
    first: Mapping[str, str], second: Mapping[str, str], *, workers: int = 1
) -> Iterator[tuple[Server, Server]]:
    """Two servers whose rings are those of the tests, but for what each is given here."""
    rings = {name: SECRETS[name] for name in (*RINGS, "SECRET_KEY")}
    with TemporaryDirectory(prefix="fluxiq-two-servers-") as scratch:
        one, other = Path(scratch) / "one", Path(scratch) / "other"
        own = from_files(one, {**rings, **first})
        with serving(SERVERS, {**NO_LIMITS, **own}, workers=workers) as service:
            environment = {
                **service.environment,
                **from_files(other, {**rings, **second}),
                "COUNTERS_PATH": str(Path(scratch) / "counters" / "counters.sqlite3"),
            }
            with Gunicorn(environment, workers=workers) as gunicorn:
                yield (
                    Server(service, one),
                    Server(Service(gunicorn, environment, service.demo), other),
                )
