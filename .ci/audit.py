"""Are there known vulnerabilities in what requirements.lock pins? Asked of PyPI through pip-audit.

Exits 1 on a vulnerability. What was not asked about is told by name, and exits 2: pip-audit itself
calls a package that its service does not know a success. With `--unless-unreachable`, where not one
package could be asked about, that is said and passes.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AUDIT = [
    *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"),
    *("--timeout", "10", "--progress-spinner", "off", "--format", "json"),
    *("-r", "requirements.lock"),
]


def main() -> int:
    """Print one line for each finding, and return the exit status."""
    asked = subprocess.run(AUDIT, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        reasons = asked.stderr.strip().splitlines() or ["pip-audit said nothing"]
        return unasked(f"pip-audit gave no report: {reasons[-1]}", everything=True)
    found = [(one, flaw) for one in packages for flaw in one.get("vulns", ())]
    for one, flaw in found:
        mended = ", ".join(flaw["fix_versions"]) or "no version yet"
        say(f"{one['name']} {one['version']}: {flaw['id']}, mended in {mended}")
    if found:
        return 1
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if skipped or not packages:
        everything = len(skipped) == len(packages)
        what = "any package" if everything else ", ".join(skipped)
        return unasked(f"the vulnerability service knows nothing of {what}", everything=everything)
    say(f"{len(packages)} packages of requirements.lock: no known vulnerability")
    return 0


def unasked(reason: str, *, everything: bool) -> int:
    """Say what was not audited, and return the exit status of that."""
    say(f"NOT AUDITED: {reason}")
    return 0 if everything and "--unless-unreachable" in sys.argv[1:] else 2


def say(line: str) -> None:
    """A line on stdout."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
