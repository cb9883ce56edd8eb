"""Loads the production settings for many environments: of each, what refused it.

Run as a script it reads a list of environments as JSON, and prints what `preflight.check` says to
each: an empty text where nothing is wrong. All are loaded by children of one process, which has
imported what they need.
"""

import json
import os
import sys
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

from fluxiq import preloading
from fluxiq.settings import engines, preflight, server

PRELOADED = (
    *(engines.__name__, server.__name__, "fluxiq.settings.console", "fluxiq.logs"),
    *("authn.signing_keys", "authn.peppers", "authn.mfa.sealing", "fluxiq.audit.ring"),
)


def refused(environment: dict[str, str]) -> str:
    """Why the settings cannot be loaded in this environment; empty where they can."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        preflight.check()
    except ImproperlyConfigured as error:
        return str(error)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return ""


def main() -> None:
    """Answer for each environment on standard input."""
    preloading.import_libraries()
    for name in PRELOADED:
        import_module(name)
    json.dump([refused(environment) for environment in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
