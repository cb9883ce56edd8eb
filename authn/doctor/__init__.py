"""What is wrong with this deployment, looked at from one of its machines, and how to mend it.

It changes nothing. What the system checks know they are asked; what only a running database,
counter or mail server can tell is looked at here.
"""

from authn.doctor.contents import (
    examine_mfa_keys,
    examine_people,
    examine_peppers,
    examine_signing_keys,
    examine_trail,
)
from authn.doctor.findings import Finding, State
from authn.doctor.surroundings import (
    database_time,
    examine_clock,
    examine_configuration,
    examine_counters,
    examine_database,
    examine_disks,
    examine_mail,
    examine_migrations,
)

__all__ = ["Finding", "State", "examine"]


def examine() -> list[Finding]:
    """Look at everything that can be looked at, in the order in which to mend it."""
    found = list(examine_database())
    answers = all(finding.state is State.OK for finding in found)
    migrated = False
    if answers:
        migrations = list(examine_migrations())
        migrated = not any(finding.state is State.ERROR for finding in migrations)
        found += migrations
    configuration = examine_configuration(with_database=migrated)
    found = [*configuration, *found, *examine_counters(), *examine_signing_keys()]
    if answers:
        found += examine_clock("database", database_time)
    if migrated:
        found += [*examine_people(), *examine_peppers(), *examine_mfa_keys(), *examine_trail()]
    return [*found, *examine_disks(), *examine_mail()]
