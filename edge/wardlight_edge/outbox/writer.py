"""The one thread that touches the outbox file, and the group commit.

Jobs run in the order they were given; a long one runs in steps, with others between them. Appends
that stand next to each other in the queue are committed together, up to GROUP_ROWS and
GROUP_BYTES. A group that holds nothing urgent and fewer than LINGER_ROWS rows waits up to
``linger_ms`` for company: each commit costs about 8 KB of flash and one flush. Urgent is a record
with an event id (a device waits to hear that it may forget its reading) and every record of the
alarm lane; streams and waveforms are not. Any other job ends the waiting.

This file is the one place where results hop from the thread to asyncio.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.batch import body_bytes, has_event
from wardlight_edge.outbox.engine import Engine
from wardlight_shared.errors import StorageError
from wardlight_shared.records import Lane

GROUP_ROWS: Final = 1000
GROUP_BYTES: Final = 1 << 20
LINGER_ROWS: Final = 32
_REST_S: Final = 2.0
_JOBS_BETWEEN_RESTS: Final = 50  # a busy outbox still salvages and thins
_MOST_WAITING: Final = 256  # appends in the queue; further callers wait their turn

_LANE: Final = attrgetter("lane")

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class _Append:
    __slots__ = ("bytes", "future", "is_urgent", "records")

    def __init__(self, records: Sequence[NewRecord], future: "asyncio.Future[list[int]]") -> None:
        self.records = records
        self.bytes = body_bytes(records)
        self.future: asyncio.Future[Any] = future
        self.is_urgent = has_event(records) or Lane.ALARM in map(_LANE, records)


class _Call:
    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[], object], future: "asyncio.Future[Any]") -> None:
        self.work = work
        self.future = future


class More(Enum):
    """What a step returns that did not finish its job."""

    MORE = 1


MORE: Final = More.MORE


class _Stop:
    """The last job."""


_Job = _Append | _Call | _Stop
_Outcome = tuple["asyncio.Future[Any]", object]


class Writer:
    """Runs an Engine on its own thread; the coroutines here may be cancelled at any time.

    ``on_append`` is called on the event loop after each commit of appended records.
    """

    def __init__(self, engine: Engine, *, linger_ms: int, on_append: Callable[[], None]) -> None:
        self._engine = engine
        self._linger_s = linger_ms / 1000
        self._on_append = on_append
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._held: _Job | None = None
        self._places = asyncio.BoundedSemaphore(_MOST_WAITING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Open the file on the thread; raises what opening raises."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()
        await self.call(self._engine.open)

    async def stop(self) -> None:
        """Run what is queued, close the file, end the thread."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._jobs.put(_Stop())
        await asyncio.to_thread(thread.join)

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Accept records; returns after COMMIT."""
        async with self._places:
            future: asyncio.Future[list[int]] = self._open_loop().create_future()
            self._jobs.put(_Append(records, future))
            return await future

    async def call(self, work: Callable[[], "_T | More"]) -> _T:
        """Run ``work`` on the thread; while it returns MORE, again after the jobs that wait."""
        future: asyncio.Future[_T] = self._open_loop().create_future()
        self._jobs.put(_Call(work, future))
        return await future

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._thread is None:
            raise StorageError("the outbox is closed")
        return self._loop

    # ---------------------------------------------------------------- on the thread

    def _run(self) -> None:
        more = False
        since_rest = 0
        while True:
            job = self._next(0.0 if more else _REST_S)
            if isinstance(job, _Stop):
                break
            if job is not None:
                since_rest += 1
                self._do(job)
                more = more or self._engine.has_work
            if job is None or (more and since_rest >= _JOBS_BETWEEN_RESTS):
                more = self._rest()
                since_rest = 0
        self._engine.close()
        self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        """Jobs given after the stop, and long ones that it cut short."""
        while (job := self._next(0.0)) is not None:
            if not isinstance(job, _Stop):
                self._hand_over([(job.future, StorageError("the outbox was closed"))])

    def _next(self, timeout_s: float) -> _Job | None:
        if self._held is not None:
            job, self._held = self._held, None
            return job
        try:
            return self._jobs.get(timeout=timeout_s) if timeout_s else self._jobs.get_nowait()
        except Empty:
            return None

    def _do(self, job: _Append | _Call) -> None:
        if isinstance(job, _Call):
            result = _result(job)
            if result is MORE:
                self._jobs.put(job)
            else:
                self._hand_over([(job.future, result)])
            return
        group = self._gather(job)
        self._hand_over(_append(self._engine, group), appended=True)

    def _gather(self, first: _Append) -> list[_Append]:
        """Appends to commit together; a job of another kind is held for the next round."""
        group, is_urgent = [first], first.is_urgent
        rows, size = len(first.records), first.bytes
        deadline = time.monotonic() + self._linger_s
        while rows < GROUP_ROWS and size < GROUP_BYTES:
            patience = 0.0
            if not is_urgent and rows < LINGER_ROWS:
                patience = max(0.0, deadline - time.monotonic())
            job = self._next(patience)
            if not isinstance(job, _Append):
                self._held = job
                break
            group.append(job)
            rows += len(job.records)
            size += job.bytes
            is_urgent = is_urgent or job.is_urgent
        return group

    def _rest(self) -> bool:
        try:
            return self._engine.rest()
        except StorageError as error:
            _log.error("outbox maintenance failed", extra={"error": str(error)})
        except Exception:  # noqa: BLE001 - the supervisor of rest(): tried again later
            _log.exception("outbox maintenance failed")
        return False

    def _hand_over(self, outcomes: list[_Outcome], *, appended: bool = False) -> None:
        """The hop: results go to the event loop that waits for them."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcomes, appended)
        except RuntimeError:  # the loop was closed before the outbox: nobody waits any more
            _log.warning("event loop closed before the outbox")

    def _resolve(self, outcomes: list[_Outcome], appended: bool) -> None:
        for future, result in outcomes:
            if future.done():
                continue  # the caller was cancelled; its operation is complete all the same
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        if appended:
            self._on_append()


def _append(engine: Engine, group: list[_Append]) -> list[_Outcome]:
    results: Sequence[object]
    try:
        results = engine.append([one.records for one in group])
    except Exception as error:  # noqa: BLE001 - a bug: raised again where the callers await it
        results = [error] * len(group)
    return [(one.future, result) for one, result in zip(group, results, strict=True)]


def _result(job: _Call) -> object:
    try:
        return job.work()
    except Exception as error:  # noqa: BLE001 - raised again where the caller awaits it
        return error
