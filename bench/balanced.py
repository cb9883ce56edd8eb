"""gunicorn's configuration while it is measured: that of BENCH_GUNICORN_CONF where it is named,
with the connections of the load shared evenly by the workers.

A few connections that are kept alive may all be accepted by one worker, and the other idles: what
is measured then is chance. With many clients, or a proxy in front, it evens out by itself.
"""

import os
import runpy
from importlib import import_module
from typing import Any

if os.environ.get("BENCH_GEVENT"):
    # Before this project's libraries are loaded: gevent fails where it finds Django half set up.
    import_module("gevent.monkey").patch_all()

if _configuration := os.environ.get("BENCH_GUNICORN_CONF"):
    globals().update(runpy.run_path(_configuration))

_CONNECTIONS = int(os.environ["BENCH_CONNECTIONS"])


def post_worker_init(worker: Any) -> None:
    """Have no worker accept more than its share of the connections."""
    if os.environ.get("BENCH_SHARES") != "off":
        worker.worker_connections = -(-_CONNECTIONS // worker.cfg.workers)
