"""Stored files in another, uncompressed transfer syntax, made in a process of its own.

Decoders of compressed pixels are C code fed with foreign bytes: one that crashes ends that process
and nothing else. One file at a time is worked on, and none whose pixels need more than
LARGEST_BYTES, so memory is bounded.

Errors  TranscodingError: this object cannot be had so, now or later; TranscodingFailedError: it was
        not made this time (the decoder crashed or hung, there was no room), which says nothing of
        the next
"""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydicom import dcmread
from pydicom.uid import UID

from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.imaging.decoding import DecodingError, decompress, has_pixels
from wardlight_cloud.imaging.recoding import recode
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import WardlightError

LARGEST_BYTES: Final = 512 * 1024 * 1024
_TIMEOUT_S: Final = 120.0
_WORST_BYTES_A_PIXEL: Final = 6  # three samples of 16 bits
_FILES_A_PROCESS: Final = 200


class TranscodingError(WardlightError):
    """A file that cannot be had in the wanted transfer syntax."""


class TranscodingFailedError(WardlightError):
    """A file that was not made in the wanted transfer syntax this time."""


class Transcoder:
    """Holds the process; a context manager.

    ``timeout_s``: a decoder that takes longer for one file hangs.
    """

    def __init__(self, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._one_at_a_time = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def transcode(self, source: Path, target: Path, syntax: str, ref: InstanceRef) -> None:
        """Write ``source`` to ``target`` in the transfer syntax ``syntax``."""
        pixels = ref.rows * ref.columns_px * max(1, ref.frame_count)
        if max(ref.size, pixels * _WORST_BYTES_A_PIXEL) > LARGEST_BYTES:
            raise TranscodingError("too large to be transcoded")
        with self._one_at_a_time:
            try:
                failure = (
                    self._running()
                    .submit(transcode_file, source, target, syntax)
                    .result(self._timeout_s)
                )
            except (BrokenProcessPool, FutureTimeoutError) as error:
                self._end()
                raise TranscodingFailedError("the decoder crashed or hung") from error
        if failure is None:
            return
        if failure.is_final:
            raise TranscodingError(f"it cannot be decoded ({failure.error})")
        raise TranscodingFailedError(f"it was not decoded ({failure.error})")

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=quieten,
                max_tasks_per_child=_FILES_A_PROCESS,
            )
        return self._pool

    def _end(self) -> None:
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        for process in list((pool._processes or {}).values()):
            process.kill()  # a decoder that hangs does not see a request to end
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no file was made; of an error of a library its kind, for its text may hold values.

    ``is_final``: it is the object's fault, so that another attempt would end the same way.
    """

    error: str
    is_final: bool


def transcode_file(source: Path, target: Path, syntax: str) -> Failure | None:
    """None when it is done."""
    try:
        found = dcmread(source)
        if found.file_meta.TransferSyntaxUID.is_encapsulated and has_pixels(found):
            decompress(found, largest=LARGEST_BYTES)
        wanted = UID(syntax)
        recode(found, is_implicit=wanted.is_implicit_VR)
        found.file_meta.TransferSyntaxUID = wanted
        found.save_as(
            target,
            implicit_vr=wanted.is_implicit_VR,
            little_endian=True,
            enforce_file_format=True,
        )
    except DecodingError as error:
        return Failure(str(error).rstrip("."), is_final=True)
    except (OSError, MemoryError) as error:
        return Failure(type(error).__name__, is_final=False)
    except Exception as error:  # noqa: BLE001 - foreign bytes: any error of the decoder is its answer
        return Failure(type(error).__name__, is_final=True)
    return None
