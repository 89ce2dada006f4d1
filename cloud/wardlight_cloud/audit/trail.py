"""Takes what was done, off the path of the answer, and writes it down in batches.

async with AuditTrail(store) as trail:
    trail.note(entry)               # a list and no waiting

What was noted is in the store within PAUSE_S, or as soon as the store answers again. What is beyond
the bound meanwhile is counted, told in the log, and itself put on record. Requests of nobody in
particular fill a tenth of the room at most, so that a flood of them costs no entry of others.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.audit.metrics import LOST, WRITTEN
from wardlight_cloud.store.audit import AuditEntry, AuditStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
PAUSE_S: Final = 1.0
_RETRY_S: Final = 5.0
_WRITE_S: Final = 20.0
_BATCH: Final = 2_000
_MOST: Final = 50_000
_OF_NOBODY: Final = 10  # the part of the room that requests without a name may take


class AuditTrail:
    """Entries that wait to be written. For one event loop."""

    def __init__(
        self, store: AuditStore, *, clock: Callable[[], float] = time.time,
        pause_s: float = PAUSE_S, retry_s: float = _RETRY_S, most: int = _MOST,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._pause_s = pause_s
        self._retry_s = retry_s
        self._most = most
        self._waiting: list[AuditEntry] = []
        self._lost = 0
        self._of_nobody = 0
        self._is_woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="audit-trail")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if not await self._write_all():
            lost = len(self._waiting) + self._lost
            LOST.inc(len(self._waiting))
            _log.error("requests are not on record", extra={"rows": lost})

    def note(self, entry: AuditEntry) -> None:
        """Something was done."""
        waiting = self._waiting
        if not entry.client and not entry.login:
            self._of_nobody += 1
            if self._of_nobody > self._most // _OF_NOBODY:
                return self._lose()
        if len(waiting) >= self._most:
            return self._lose()
        waiting.append(entry)
        if len(waiting) == 1:
            self._is_woken.set()
        return None

    def _lose(self) -> None:
        if not self._lost:
            _log.error("requests are not on record: too many wait to be written")
        self._lost += 1
        LOST.inc()
        self._is_woken.set()

    async def _run(self) -> None:
        while True:
            await self._is_woken.wait()
            await asyncio.sleep(self._pause_s)
            self._is_woken.clear()
            if not await self._write_all():
                await asyncio.sleep(self._retry_s)
                self._is_woken.set()

    async def _write_all(self) -> bool:
        """Whether all that waited is in the store; what is not goes on waiting, in its order."""
        self._of_nobody = 0
        while self._waiting or self._lost:
            batch, lost = self._waiting[:_BATCH], self._lost
            told = [_loss(self._clock(), lost)] if lost else []
            try:
                async with asyncio.timeout(_WRITE_S):
                    await self._store.put_audit([*batch, *told])
            except (StorageError, TimeoutError) as error:
                fields = {"rows": len(self._waiting), "error": str(error)}
                _log.warning("requests cannot be put on record yet", extra=fields)
                return False
            del self._waiting[: len(batch)]
            self._lost -= lost
            WRITTEN.inc(len(batch))
        return True


def _loss(at: float, count: int) -> AuditEntry:
    """That others are missing is on record as well."""
    return AuditEntry(at, "audit", "E", "loss", 0, "", "", str(count), "", "", "", "")
