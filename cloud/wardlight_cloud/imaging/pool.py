"""Processes that read headers: a hostile file costs one of them, never the others or the loop.

A file is read by one process inside bounds of memory and time. A process that does not answer in
time is killed; one that dies, or runs out of memory, is replaced, and the file is given to a second
one, since the first may have been ended from outside. Only what a process that was ready makes of a
file is a judgement: where none can be started, the file may be as good as any. Not thread-safe: one
event loop.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final, Self

import msgspec

from wardlight_cloud.config import ImagesSettings
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.header_messages import (
    LARGEST_MESSAGE,
    NOT_THE_FILES_FAULT,
    READY,
    Answer,
    Request,
)
from wardlight_cloud.store.image_arrivals import InstanceHeader
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_answers: Final = msgspec.msgpack.Decoder(Answer)
_TRIES: Final = 2
_START_S: Final = 60.0
_GOODBYE_S: Final = 2.0
_PROGRAM: Final = "wardlight_cloud.imaging.header_process"
_DIED: Final = "died"
_ONCE_MORE: Final = (_DIED, "memory")
_ENDED_BY_SOMEBODY: Final = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class HeaderPool:
    """Reads headers; ``async with HeaderPool(settings.images) as pool``."""

    def __init__(self, settings: ImagesSettings) -> None:
        self._settings = settings
        self._is_closed = False
        self._readers = [_Reader(settings) for _ in range(settings.processes)]
        # The one that was last at work is the next: where one is enough, one is started.
        self._idle: asyncio.LifoQueue[_Reader] = asyncio.LifoQueue()
        for reader in self._readers:
            self._idle.put_nowait(reader)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self, path: Path) -> InstanceHeader:
        """The header of a file. HeaderError: it is none of ours.

        StorageError: it is not there, or no process can read it now; try again.
        """
        request = Request(os.fsencode(path), self._settings.inflated_bytes)
        reader = await self._idle.get()
        try:
            answer = await self._answer(reader, request)
        finally:
            self._idle.put_nowait(reader)
        if answer.header is not None:
            return answer.header
        if answer.reason in NOT_THE_FILES_FAULT:
            raise StorageError(answer.message)
        if answer.reason == _DIED:
            raise HeaderError("parse", "the process that read the header died of the file, twice")
        raise HeaderError(answer.reason, answer.message)

    async def close(self) -> None:
        """End the processes; those at work are killed."""
        self._is_closed = True
        for reader in self._readers:
            await reader.stop()

    async def _answer(self, reader: "_Reader", request: Request) -> Answer:
        answer = Answer()
        for _ in range(_TRIES):
            self._check_open()
            await reader.start()
            answer = await self._asked(reader, request)
            if answer.reason not in _ONCE_MORE:
                break
        return answer

    async def _asked(self, reader: "_Reader", request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._settings.header_timeout_s):
                return await reader.ask(request)
        except TimeoutError:
            await reader.stop()
            return Answer(reason="time", message="reading the header takes longer than allowed")
        except (EOFError, OSError, msgspec.DecodeError):
            status = await reader.ended()
            _log.warning("a process that reads headers ended", extra={"status": status})
            self._check_open()
            # None: it had not ended when nobody waited any more, so nothing is known of the file.
            if status is None or status in _ENDED_BY_SOMEBODY:
                raise StorageError("a process that reads headers was ended; try again") from None
            return Answer(reason=_DIED)
        except asyncio.CancelledError:
            reader.kill()  # what it answers now would be taken for the next file's
            raise

    def _check_open(self) -> None:
        if self._is_closed:
            raise StorageError("the processes that read headers have been ended; try again")


class _Reader:
    """One process, started when it is needed."""

    def __init__(self, settings: ImagesSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Have a process that is ready. StorageError: there is none to be had now."""
        if self._process is not None:
            return
        try:
            async with asyncio.timeout(_START_S):
                process = self._process = await self._started()
                assert process.stdout is not None  # noqa: S101 - a pipe
                is_ready = await process.stdout.readexactly(len(READY)) == READY
        except (OSError, MemoryError, TimeoutError, asyncio.IncompleteReadError) as error:
            await self.stop()
            raise StorageError(
                f"no process that reads headers can be started ({type(error).__name__}); try again"
            ) from error
        except asyncio.CancelledError:
            self.kill()
            raise
        if not is_ready:
            await self.stop()
            raise StorageError("what was started reads no headers; look at the installation")

    async def ask(self, request: Request) -> Answer:
        process = self._process
        if process is None:
            raise EOFError
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - pipes
        message = msgspec.msgpack.encode(request)
        process.stdin.write(len(message).to_bytes(4, "big") + message)
        await process.stdin.drain()
        try:
            size = int.from_bytes(await process.stdout.readexactly(4), "big")
            if size > LARGEST_MESSAGE:
                raise EOFError
            answer = _answers.decode(await process.stdout.readexactly(size))
        except asyncio.IncompleteReadError as error:
            raise EOFError from error
        if answer.reason == "memory":
            await self.stop()
        return answer

    async def ended(self) -> int | None:
        """How the process ended by itself; None when it did not, and was killed for it."""
        process = self._process
        if process is None:
            return None
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await process.wait()
        except TimeoutError:
            await self.stop()
            return None
        return await self.stop()

    async def stop(self) -> int | None:
        """End the process and wait for it; how it ended, where it has."""
        process = self._process
        self.kill()
        if process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await process.wait()
        return process.returncode

    def kill(self) -> None:
        """End the process at once."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Its pipes would stay open until the loop has heard of its end, or for good.
            process._transport.close()  # type: ignore[attr-defined]

    async def _started(self) -> asyncio.subprocess.Process:
        # One thread for numerics: more would only reserve memory inside the bound.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", _PROGRAM,
            str(self._settings.header_memory_bytes),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=environment,
        )  # fmt: skip
