"""What the threads of one process share."""

import threading

# Guards the registries of files and servers, and the breakers. `file` holds it over a fork: a
# child must not inherit it taken by a thread that it does not have.
process_lock = threading.Lock()
