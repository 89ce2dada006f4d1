"""A worker process of the API ends with the process that started it, however that ends.

Left alone it would serve on and keep the port, so that nobody could start the API again.
"""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """In a worker: SIGTERM to itself once its parent is gone. Elsewhere nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        watch = threading.Thread(target=_watch, args=(parent.sentinel,), name="parent", daemon=True)
        watch.start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
