#!/usr/bin/env python
"""Django's command line, under the settings of a local run unless told otherwise."""

import atexit
import gc
import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fluxiq.settings.local")
    atexit.register(gc.freeze)  # as in fluxiq.wsgi: a third of what a short command takes
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py: {error}")
