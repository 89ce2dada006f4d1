"""Processes that decode images, so that neither a slow nor a hostile one harms the API.

Each has an address space of at most ``memory_bytes``, works on one job at a time and is killed when
that takes longer than ``limit_s``. They start with the first job and end with the API.
Errors  DicomWebError 406 (of this object, it says why), 503 (too much to do)
"""

import asyncio
import contextlib
import logging
import math
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.dicomweb.errors import DicomWebError, not_acceptable
from wardlight_cloud.dicomweb.jobs import ANSWER_HEAD, READY, Job, Making, Status, encode_job
from wardlight_cloud.dicomweb.octets import Octets, Segment, Slice, held
from wardlight_cloud.imaging.held_path import held_path
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_MODULE: Final = "wardlight_cloud.dicomweb.making"
_START_S: Final = 30.0
_END_S: Final = 2.0
_BUFFER: Final = 4 << 20
_GONE: Final = (asyncio.IncompleteReadError, ConnectionError, BrokenPipeError)


class Workshop:
    """Hands jobs to processes. ``scratch``: a folder for copies of objects that are not local."""

    def __init__(
        self, octets: Octets, *, scratch: Path, processes: int, limit_s: float, memory_bytes: int,
        most_waiting: int = 256,
    ) -> None:  # fmt: skip
        self._octets = octets
        self._scratch = scratch
        self._limit_s = limit_s
        self._most_waiting = most_waiting
        self._waiting = 0
        self._benches = [_Bench(memory_bytes, math.ceil(limit_s) + 1) for _ in range(processes)]
        self._free: asyncio.LifoQueue[_Bench] = asyncio.LifoQueue()
        for bench in self._benches:
            self._free.put_nowait(bench)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bench in self._benches:
            await bench.end()

    async def make(
        self, ref: InstanceRef, making: Making, state: InstanceRef | None = None
    ) -> Segment:
        """Make something of an instance; what is large is held in a file.

        ``state``: a presentation state that a picture is made by.
        """
        if self._waiting >= self._most_waiting:
            raise DicomWebError(503, "Too many images to decode; try again.", {"Retry-After": "2"})
        self._waiting += 1
        try:
            bench = await self._free.get()
        finally:
            self._waiting -= 1
        try:
            async with self._file(ref) as file, self._file_of(state) as beside:
                job = Job(str(file), making, str(self._scratch), beside)
                return await self._made(bench, ref, job)
        finally:
            self._free.put_nowait(bench)

    async def _made(self, bench: "_Bench", ref: InstanceRef, job: Job) -> Segment:
        about = {"sha256": ref.sha256.hex()[:16], "job": type(job.making).__name__}
        try:
            async with asyncio.timeout(_START_S):
                await bench.start()
            async with asyncio.timeout(self._limit_s):
                status, octets = await bench.do(job)
        except TimeoutError:
            bench.kill()
            _log.warning("decoding took too long", extra=about)
            raise not_acceptable(
                f"Decoding this object takes longer than the {self._limit_s:g} s that the server "
                "spends on it."
            ) from None
        except _GONE:
            bench.kill()
            _log.warning("decoding ended its process", extra=about)
            raise not_acceptable("Decoding this object failed.") from None
        except BaseException:
            bench.kill()  # its answer would be taken for that of the next job
            raise
        if status is Status.MADE:
            return octets
        text = octets.decode("utf-8", "replace")
        if status is Status.MADE_FILE:
            return self._taken(Path(text))
        if status is Status.NO_ROOM:
            raise DicomWebError(503, text, {"Retry-After": "60"})
        raise DicomWebError(404, text) if status is Status.ABSENT else not_acceptable(text)

    def _taken(self, made: Path) -> Segment:
        """What was laid down; a process that a file has turned against us names nothing else."""
        if made.parent != self._scratch:
            raise not_acceptable("Decoding this object failed.")
        return held(made)

    @contextlib.asynccontextmanager
    async def _file_of(self, state: InstanceRef | None) -> AsyncIterator[str]:
        if state is None:
            yield ""
            return
        async with self._file(state) as file:
            yield str(file)

    @contextlib.asynccontextmanager
    async def _file(self, ref: InstanceRef) -> AsyncIterator[Path]:
        """The object as a file of this machine."""
        with held_path(self._octets.local_path, ref.sha256) as local:
            if local is not None:
                yield local
                return
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._scratch, prefix="decode-") as copy:
            async for piece in self._octets.pieces((Slice(ref.sha256, 0, ref.size),)):
                await asyncio.to_thread(copy.write, piece)
            try:
                copy.flush()
            except OSError as error:
                raise StorageError(f"an object cannot be copied: errno {error.errno}") from error
            yield Path(copy.name)


class _Bench:
    """One process, started when it is needed."""

    def __init__(self, memory_bytes: int, limit_s: int) -> None:
        self._arguments = (str(memory_bytes), str(limit_s))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process, unless it runs, and wait until it is ready."""
        if self._process is not None and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, *self._arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, limit=_BUFFER,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if self._process.stdout is not None:
            await self._process.stdout.readexactly(len(READY))

    async def do(self, job: Job) -> tuple[Status, bytes]:
        """One job."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError
        process.stdin.write(encode_job(job))
        await process.stdin.drain()
        head = await process.stdout.readexactly(ANSWER_HEAD)
        octets = await process.stdout.readexactly(int.from_bytes(head[1:], "big"))
        return Status(head[0]), octets

    def kill(self) -> None:
        """End the process at once; the next job starts another one."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._process = None

    async def end(self) -> None:
        """The process ends by itself when nobody can ask it any more."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            self.kill()
            await process.wait()
