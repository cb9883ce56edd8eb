"""`/metrics` as a scraper reads it."""

import http.client
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, list[tuple[Mapping[str, str], float]]]


def get(port: int, token: str | None = None, path: str = "/metrics") -> tuple[int, str]:
    """The status and the text of what is answered on that port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def samples(text: str) -> Samples:
    """Every sample by its name, with its labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name, [])
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of that name that have these labels."""
    assert name in found, f"{name} is not served"
    return sum(
        number
        for given, number in found[name]
        if all(given.get(label) == wanted for label, wanted in labels.items())
    )
