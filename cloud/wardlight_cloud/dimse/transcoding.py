"""Stored files in another, uncompressed transfer syntax, made in a process of its own.

Decoders of compressed pixels are C code fed with foreign bytes: one that crashes ends that process
and nothing else. One file at a time is worked on, and none whose pixels need more than
LARGEST_BYTES, so memory is bounded.

Errors  TranscodingError: pydicom cannot, or may not
"""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final, Self

from pydicom import dcmread
from pydicom.uid import UID

from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.imaging.recoding import recode
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import WardlightError

LARGEST_BYTES: Final = 512 * 1024 * 1024
_TIMEOUT_S: Final = 120.0
_WORST_BYTES_A_PIXEL: Final = 6  # three samples of 16 bits
_FILES_A_PROCESS: Final = 200


class TranscodingError(WardlightError):
    """A file that cannot be had in the wanted transfer syntax."""


class Transcoder:
    """Holds the process; a context manager."""

    def __init__(self) -> None:
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
                    .result(_TIMEOUT_S)
                )
            except (BrokenProcessPool, FutureTimeoutError) as error:
                self._end()
                raise TranscodingError("the decoder crashed or hung") from error
        if failure is not None:
            raise TranscodingError(f"pydicom cannot decode it ({failure})")

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


def transcode_file(source: Path, target: Path, syntax: str) -> str | None:
    """None when it is done, else the name of the error: its text may hold values of the patient."""
    try:
        found = dcmread(source)
        if found.file_meta.TransferSyntaxUID.is_compressed:
            found.decompress(generate_instance_uid=False)
        wanted = UID(syntax)
        recode(found, is_implicit=wanted.is_implicit_VR)
        found.file_meta.TransferSyntaxUID = wanted
        found.save_as(
            target,
            implicit_vr=wanted.is_implicit_VR,
            little_endian=True,
            enforce_file_format=True,
        )
    except Exception as error:  # noqa: BLE001 - foreign bytes: any error of the decoder is its answer
        return type(error).__name__
    return None
