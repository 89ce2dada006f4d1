"""Memory and threads that the writers of one spool share. Any thread may call.

Fresh pages of memory cost as much as a file's hash, so writers that ended leave theirs to the next
ones. Threads do beside an association's own what needs hardly any Python: hashing, and waiting for
a disk.
"""

import ctypes
import errno
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from wardlight_edge.spool.segments import SEALED_BYTES, SEGMENT_BYTES

_SPARE: Final = 8
_THREADS: Final = 64  # made as they are needed
_T = TypeVar("_T")
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ESPIPE})
_ALL_THREE: Final = 7  # sync_file_range(2): WAIT_BEFORE, WRITE, WAIT_AFTER


class Memory(NamedTuple):
    """Room for a segment, for the one before it, and for what a segment is encrypted to."""

    plain: memoryview
    other: memoryview
    sealed: memoryview


class Workshop:
    """``close`` it when all writers have ended."""

    def __init__(self) -> None:
        self._spare: deque[Memory] = deque(maxlen=_SPARE)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spool writer")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def take(self) -> Memory:
        """Memory for a writer."""
        try:
            return self._spare.pop()
        except IndexError:
            sizes = SEGMENT_BYTES, SEGMENT_BYTES, SEALED_BYTES
            return Memory(*(memoryview(bytearray(size)) for size in sizes))

    def give_back(self, memory: Memory) -> None:
        """The writer with this memory has ended."""
        self._spare.append(memory)

    def run(self, work: Callable[..., _T], *arguments: Any) -> "Future[_T]":
        """Do this beside the caller's thread; octets of it may not change until it is done."""
        return self._threads.submit(work, *arguments)

    def write_back(self, file: int, start: int, length: int) -> "Future[None]":
        """Bring a part of a file to the disk, so that the flush at its end is a short one.

        It promises nothing, but its error is the file's: the kernel tells an error of a write once,
        and not to the flush again. The file may not be closed until it is done.
        """
        return self._threads.submit(_write_back, file, start, length)


_sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)  # of Linux
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def _write_back(file: int, start: int, length: int) -> None:
    if _sync_file_range is None or not _sync_file_range(file, start, length, _ALL_THREE):
        return
    code = ctypes.get_errno()
    if code not in _UNSUPPORTED:
        raise OSError(code, os.strerror(code))
