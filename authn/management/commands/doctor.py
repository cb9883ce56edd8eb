"""Look at the deployment, and say what is wrong and how to mend it."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from authn import doctor
from authn.doctor import Finding, State
from fluxiq import commands


class Command(commands.Command):
    """`doctor`."""

    help = (
        "Look at configuration, database, migrations, Valkey, clocks, keys, audit trail, disk and"
        " mail. Exits with 0 where nothing is wrong, 1 where something is. Changes nothing."
    )
    requires_system_checks: list[str] = []  # it tells what they complain of itself

    def perform(self, **options: Any) -> list[Finding]:
        return doctor.examine()

    def document(self, result: list[Finding]) -> dict[str, Any]:
        return {
            "healthy": not _wrong(result),
            "findings": [{**asdict(finding), "state": str(finding.state)} for finding in result],
        }

    def tell(self, result: list[Finding], **options: Any) -> None:
        width = max(len(finding.topic) for finding in result)
        for finding in result:
            state = self.tint(finding.state.ljust(7), _TONES[finding.state])
            text = commands.one_line(finding.text)
            self.stdout.write(f"{state}  {finding.topic.ljust(width)}  {text}")
            if finding.hint:
                self.stdout.write(f"{'':{width + 9}}  {commands.one_line(finding.hint)}")

    def failure(self, result: list[Finding]) -> CommandError | None:
        wrong = _wrong(result)
        return CommandError(f"{len(wrong)} wrong: {'; '.join(wrong)}") if wrong else None


_TONES = {State.OK: "SUCCESS", State.WARNING: "WARNING", State.ERROR: "ERROR"}


def _wrong(findings: list[Finding]) -> list[str]:
    return [f"{f.topic}: {f.text}" for f in findings if f.state is State.ERROR]
