"""A folder in which the worker processes of one API keep what they count for Prometheus.

The library looks for it when it is imported, so nothing here imports it.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Final

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The library's own name for the environment variable."""


@contextlib.contextmanager
def shared_among_workers(workers: int) -> Iterator[None]:
    """While inside, worker processes that are started share their numbers."""
    if workers < 2 or FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="wardlight-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
