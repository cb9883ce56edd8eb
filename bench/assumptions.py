"""What the calculation of the capacity begins with: what was measured, asked and bought."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Microseconds of one core for one request, and bytes, as `bench.costs` found them.

    "Known" is a caller who is remembered, "looked up" one for whom the database is asked.
    """

    where: str = "2 cores of AMD EPYC, 2026-11-24"
    service_key: float = 632
    service_token: float = 670
    service_key_looked_up: float = 2119
    service_token_looked_up: float = 3968
    service_refresh: float = 6350
    service_sign_in: float = 83_391
    of_a_cluster: float = 142  # more of the service, where the counters are a cluster
    valkey: float = 20  # where it is busy; 55 among few requests, one of which wakes it at a time
    postgres_key: float = 343
    postgres_session: float = 722
    postgres_refresh: float = 1382
    postgres_sign_in: float = 2261
    # The use of a key in a minute, to the database, by one thread.
    moving: float = 648
    postgres_moving: float = 360
    sealing: float = 191  # an event of the trail, by one worker
    valkey_bytes_key: float = 701
    valkey_bytes_user: float = 506
    postgres_bytes_key: float = 697
    postgres_bytes_session: float = 818
    postgres_bytes_event: float = 1136


@dataclass(frozen=True, slots=True)
class Group:
    """So many of the callers make such a share of the requests, each as often as the others."""

    callers: float  # a share of all
    requests: float  # a share of all


# A few callers make most requests. (Each of the first makes 7 a second at a million a second of a
# hundred million keys: less than half of what a key may.)
SKEW = (Group(0.001, 0.70), Group(0.01, 0.25), Group(0.989, 0.05))


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the service, everywhere together."""

    requests: float  # a second
    callers: float  # keys, and users, that exist
    tokens: float = 0.2  # the share of callers, and requests, that come with an access token
    days_between_sign_ins: float = 7
    kept_days: float = 400  # of the audit trail, in the database
    skew: tuple[Group, ...] = SKEW

    def rates(self) -> list[tuple[float, float]]:
        """For each group: its callers, and the requests a second of each."""
        return [
            (group.callers * self.callers, group.requests * self.requests / count)
            for group in self.skew
            if (count := group.callers * self.callers) > 0
        ]


@dataclass(frozen=True, slots=True)
class Machines:
    """What is bought, and how far it is used."""

    used: float = 0.6  # of each, at most: the rest is for peaks, and for what fails
    host_cores: int = 16
    connections_per_core: int = 5  # of a worker: WEB_THREADS and one
    postgres_cores: int = 32  # of a primary
    postgres_connections: int = 500
    valkey_gib: float = 16  # of a node
