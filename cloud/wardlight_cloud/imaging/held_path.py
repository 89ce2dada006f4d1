"""A stored object as a file that stays while somebody reads it.

An object may be moved to the second place, or be removed by a rule, at any time: its name goes, and
whoever opens it by name a moment later, often a process of ours, finds nothing. So it is opened
here, and read through that descriptor by its name in /proc, which this user's processes can open.

Source  proc_pid_fd(5)
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wardlight_shared.errors import StorageError

_PLACES: Final = 3  # the first one, the second one, and the first again where it came anew


@contextmanager
def held_path(local_path: Callable[[bytes], Path | None], sha256: bytes) -> Iterator[Path | None]:
    """A path of an object, good until the end of the context; None: it is no file of this machine.

    ``local_path``: as ObjectStore's. StorageError where a file cannot be opened.
    """
    descriptor = _opened(local_path, sha256)
    if descriptor is None:
        yield None
        return
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _opened(local_path: Callable[[bytes], Path | None], sha256: bytes) -> int | None:
    for _ in range(_PLACES):
        path = local_path(sha256)
        if path is None:
            return None
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # it was moved between the two
        except OSError as error:
            raise StorageError(f"an object cannot be opened: errno {error.errno}") from error
    return None
