"""Refreshes a second, to simplejwt's stock refresh with rotation and blacklist. From the root:

    .venv/bin/python -m bench.refresh

Both on one PostgreSQL, each in a database of its own. Every refresh sends the token that the last
one of its session answered; each turn has sessions of its own.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence

from bench import load
from bench.calls import in_turns
from bench.options import main
from bench.report import Ratio, Report, Row
from bench.servers import PEOPLE, engines, peers, service
from fluxiq.tests.postgres_server import database

REFRESH = "/api/v1/auth/refresh"
SESSIONS = 64  # of one turn, which go on in turns
WARM_UPS = 1

OURS, STOCK = "POST /auth/refresh", "simplejwt's stock refresh, rotation and blacklist"


def chain(
    urls: tuple[str, ...], tokens: Sequence[str], sends: str, answers: str
) -> Callable[[int], float]:
    """Refreshes, in each turn those of the next sessions."""
    turns = (tokens[n : n + SESSIONS] for n in range(0, len(tokens), SESSIONS))
    options = {"BENCH_SENDS": sends, "BENCH_ANSWERS": answers}

    def rate(seconds: int) -> float:
        seen = load.drive(urls, next(turns), kind="chain", seconds=seconds, options=options)
        return seen.rate

    return rate


def measure(options: Namespace) -> Report:
    """Both, in turns."""
    tokens = SESSIONS * (options.rounds + WARM_UPS)
    fill = f"people({PEOPLE}, more_sessions={tokens})"
    with (
        engines() as at,
        database(at.postgres) as url,
        peers(at, refresh_tokens=tokens, fastapi=False) as (django, _),
        service(url, at.valkey.url, fill=fill) as served,
    ):
        stock = django.at("/simplejwt/refresh")
        targets = {
            STOCK: chain(stock, django.cast["refresh"], "refresh", "refresh"),
            OURS: chain(
                served.at(REFRESH), served.cast["refresh"], "refresh_token", "refresh_token"
            ),
        }
        in_turns(targets, WARM_UPS, 1)
        rates = in_turns(targets, options.rounds, options.seconds)
    row = Row(OURS, STOCK, Ratio.of(rates[OURS], rates[STOCK]), 1.5, 3.0)
    return Report([row], {"refreshes a second": rates})


if __name__ == "__main__":
    main("refresh", measure)
