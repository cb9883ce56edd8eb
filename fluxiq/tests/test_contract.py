"""The running service against its own OpenAPI document, by Schemathesis, which makes the cases up.

Every status, content type, header and body of an answer is held against the document; what the
document forbids must be refused, what it allows taken; and nothing is a 5xx.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, SERVERS, Service, serving

# No schema can tell a cursor, a password or a period that serves from one that does not.
UNTOLD = "positive_data_acceptance"
LIMITS = {**NO_LIMITS, "RATE_LIMIT_SERVICE_KEY": "1000000/m"}


@dataclass
class Trial:
    """What came of it: how many cases there were, by the status that answered them."""

    cases: int
    statuses: Counter[int]
    passed: bool
    report: str


def tried(service: Service, directory: Path, *options: str) -> Trial:
    """Try every operation of the running service."""
    report = directory / "report.ndjson"
    environment = {
        **os.environ,
        **service.environment,
        "PYTHONPATH": str(PROJECT),
        "SCHEMATHESIS_HOOKS": "fluxiq.tests.contract_hooks",
    }
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            f"{service.gunicorn.url}/api/v1/openapi.json",
            *("--no-color", "--continue-on-failure", "--report", "ndjson"),
            *("--report-ndjson-path", str(report), "--checks", "all"),
            *("--exclude-checks", UNTOLD),
            *("--generation-with-security-parameters", "false"),
            *options,
        ],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r'"status_code":\s*(\d+)', report.read_text()) if report.exists() else []
    cases = re.search(r"(\d[\d,]*) generated", done.stdout)
    return Trial(
        cases=int(cases[1].replace(",", "")) if cases else 0,
        statuses=Counter(map(int, found)),
        passed=done.returncode == 0,
        report=done.stdout + done.stderr,
    )


@pytest.mark.engine
def test_the_service_does_what_its_document_says(tmp_path: Path) -> None:
    """A short look at each operation, the same each time; the long one is a proof."""
    with serving(EMBEDDED, LIMITS, workers=2) as service:
        same = ("--generation-deterministic", "--phases", "fuzzing")
        trial = tried(service, tmp_path, *same, "--max-examples", "2")
    assert trial.passed, trial.report
    assert trial.cases > 60, trial.report


@pytest.mark.proof
def test_thousands_of_cases_find_no_breach_and_no_5xx(tmp_path: Path) -> None:
    with serving(SERVERS, LIMITS, workers=2) as service:
        trial = tried(service, tmp_path, "--generation-database", "none", "--max-examples", "150")
    print(f"\n{trial.cases:,} cases; answers {dict(sorted(trial.statuses.items()))}")
    assert trial.passed, trial.report
    assert trial.cases >= 5_000, trial.report
    assert not [status for status in trial.statuses if status >= 500]
