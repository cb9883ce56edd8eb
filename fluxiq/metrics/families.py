"""What is counted, by name: the families of `/metrics`, and what each is for. No Django in it."""

from dataclasses import dataclass

MICROSECOND, MILLISECOND, SECOND = 1_000, 1_000_000, 1_000_000_000  # in nanoseconds

# A request takes about 2 ms, a sign-in 100 ms; a trip to the counters 100 µs, at most 100 ms.
REQUEST_BOUNDS = tuple(MILLISECOND * n for n in (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500))
TRIP_BOUNDS = tuple(
    MICROSECOND * n for n in (50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 50_000, 100_000)
)
WAIT_BOUNDS = tuple(MILLISECOND * n for n in (1, 5, 25, 100, 250, 500, 1000, 2000))


@dataclass(frozen=True, slots=True)
class Family:
    """One name in `/metrics`.

    `bounds`, in nanoseconds, are those of a histogram's buckets. Of `known` labels there is a 0
    from the start: whoever asks for the increase of what was never there misses the first.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[int, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()

    @property
    def size(self) -> int:
        """How many numbers one of its cells holds: a count, or the buckets and their sum."""
        return len(self.bounds) + 2 if self.bounds else 1


# A cell of requests makes two metrics: how many there were, by all labels, and how long they took,
# by the first two.
REQUESTS = Family(
    "fluxiq_requests",
    "Requests answered, by method, route template, status and kind of caller.",
    ("method", "route", "status", "kind"),
    REQUEST_BOUNDS,
)
REQUEST_SECONDS = Family(
    "fluxiq_request_duration_seconds",
    "How long requests took, from the first middleware to the answer.",
    ("method", "route"),
    REQUEST_BOUNDS,
)
RATE_LIMIT = Family(
    "fluxiq_rate_limit",
    "Requests and attempts counted in a bucket, by its kind, and whether they were within it.",
    ("bucket", "result"),
    known=tuple(
        (bucket, result)
        for bucket in ("api_key", "user", "address", "console-sign-in")
        for result in ("allowed", "limited")
    ),
)
SIGN_INS = Family(
    "fluxiq_sign_ins",
    "Sign-ins, and attempts at a secret that did not become one, by how they ended.",
    ("result",),
    known=tuple(
        (result,)
        for result in (
            "succeeded",
            "second_factor_asked",
            "unknown_document",
            "wrong_password",
            "inactive",
            "not_staff",
            "bad_invitation",
            "wrong_code",
            "second_factor_missing",
            "throttled",
        )
    ),
)
REFRESHES = Family(
    "fluxiq_refreshes",
    "Refresh tokens presented: rotated, repeated (a lost response), reused (theft), refused.",
    ("result",),
    known=(("rotated",), ("repeated",), ("reused",), ("refused",)),
)
COUNTING = Family(
    "fluxiq_counting_duration_seconds",
    "How long a trip to the counters took: to the server, or to this host's own file.",
    ("place",),
    TRIP_BOUNDS,
)
HASHING_WAIT = Family(
    "fluxiq_hashing_wait_seconds",
    "How long a password waited for a free core to be hashed on.",
    (),
    WAIT_BOUNDS,
)
HASHING_REFUSED = Family(
    "fluxiq_hashing_refused",
    "Passwords that could not be hashed now, and were answered 503.",
    known=((),),
)
BREAKER_OPENINGS = Family(
    "fluxiq_breaker_openings",
    "How often a worker began to leave the counter server alone.",
    known=((),),
)
WORKERS_STARTED = Family("fluxiq_workers_started", "Workers that began to serve.")

COUNTED = (
    REQUESTS,
    RATE_LIMIT,
    SIGN_INS,
    REFRESHES,
    COUNTING,
    HASHING_WAIT,
    HASHING_REFUSED,
    BREAKER_OPENINGS,
    WORKERS_STARTED,
)

# Of each worker, as it stands now; summed over those that live.
BREAKER_OPEN = Family("fluxiq_breaker_open_workers", "Workers that leave the counter server alone.")
POOL_MAX = Family("fluxiq_database_pool_max", "Connections that the workers' pools may hold.")
POOL_SIZE = Family("fluxiq_database_pool_size", "Connections that the workers' pools hold.")
POOL_IN_USE = Family("fluxiq_database_pool_in_use", "Connections taken out of the pools.")
POOL_WAITING = Family("fluxiq_database_pool_waiting", "Threads that wait for a connection.")

OF_WORKERS = (BREAKER_OPEN, POOL_MAX, POOL_SIZE, POOL_IN_USE, POOL_WAITING)

# Asked at the scrape.
WORKERS = Family("fluxiq_workers", "Workers of this host that live.")
BREAKER = Family("fluxiq_breaker_open", "1 while any worker leaves the counter server alone.")
DEGRADED = Family(
    "fluxiq_degraded",
    "1 while a part is away and the service does without: counters (each host counts for itself),"
    " database (nothing that needs it is served).",
    ("part",),
)
UNSEALED = Family("fluxiq_audit_unsealed_events", "Events of the audit trail without a seal.")
UNSEALED_AGE = Family(
    "fluxiq_audit_oldest_unsealed_seconds", "Age of the oldest event without a seal; 0 without one."
)
