"""How much of a processor the servers took for the requests that a drive made."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from bench.load import Load
from bench.report import Failed
from bench.servers import Served

TICKS = os.sysconf("SC_CLK_TCK")
SECONDS = 5

Drive = Callable[[int], Load]  # for so many seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of a processor for one request, and the requests a second that were seen."""

    rate: float
    service: float
    valkey: tuple[float, ...]  # of each node
    postgres: float
    commands: float  # of Valkey, over all nodes, with those that its scripts call

    @property
    def per_core(self) -> float:
        """Requests a second that one core of the service serves."""
        return 1e6 / self.service


def spent(pid: int) -> float:
    """Seconds of a processor that a process took, with those of its children, dead or alive."""
    path = Path(f"/proc/{pid}")
    if not path.exists():
        raise Failed("what a process took is read from Linux's /proc")
    # After the name, which may hold anything, in its brackets.
    fields = (path / "stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / TICKS  # utime, stime, and those of children waited for
    children = (path / "task" / str(pid) / "children").read_text().split()
    return own + sum(spent(int(child)) for child in children)


@dataclass(frozen=True, slots=True)
class Watched:
    """The processes that serve, and what they have taken so far."""

    served: Served
    postgres: int
    nodes: Sequence[redis.Redis]

    def cost(self, drive: Drive) -> Cost:
        """What a request of this drive costs."""
        before = self._spent()
        seen = drive(SECONDS)
        after = self._spent()
        each = [(b - a) / seen.requests for a, b in zip(before, after, strict=True)]
        service, postgres, commands, *valkey = each
        return Cost(
            rate=seen.rate,
            service=service * 1e6,
            valkey=tuple(node * 1e6 for node in valkey),
            postgres=postgres * 1e6,
            commands=commands,
        )

    def _spent(self) -> list[float]:
        told = [node.info() for node in self.nodes]
        return [
            spent(self.served.pid),
            spent(self.postgres),
            sum(float(each["total_commands_processed"]) for each in told),
            *(float(each["used_cpu_sys"]) + float(each["used_cpu_user"]) for each in told),
        ]
