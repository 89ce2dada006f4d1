"""The tasks of a gateway's devices: one that ends by a fault is started again, the others go on.

A device whose own key or code file cannot be used does not run: it says which file and what to do,
and the file is looked at again with the same pauses.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from wardlight_edge.backoff import Backoff
from wardlight_edge.clock import Clock
from wardlight_edge.secret_file import PrivateFileError
from wardlight_edge.sessions.board import DeviceBoard
from wardlight_edge.sessions.radio_news import RadioNews

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
NOT_RUNNING: Final = "not-running"
"""State of a device that waits for a private file."""

_logger = logging.getLogger(__name__)
Start = Callable[[], Coroutine[Any, Any, None]]


class Supervision:
    """Tasks by name; those of devices have their identity. An async context manager.

    board  shows why a device does not run
    news   records that and its end
    """

    def __init__(self, board: DeviceBoard, news: RadioNews, clock: Clock) -> None:
        self._board = board
        self._news = news
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lacking: dict[str, str] = {}
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> None:
        group = asyncio.TaskGroup()
        await group.__aenter__()
        self._group = group

    async def __aexit__(self, *error: Any) -> None:
        group, self._group = self._group, None
        if group is not None:
            await group.__aexit__(*error)

    @property
    def is_running(self) -> bool:
        """Whether tasks can be started."""
        return self._group is not None

    def start(self, name: str, start: Start) -> None:
        """Run this until the end, again and again."""
        if self._group is None:
            raise RuntimeError("nothing is supervised yet")
        self._tasks[name] = self._group.create_task(self._supervise(name, start), name=name)

    async def stop(self, name: str) -> None:
        """Run this no more; returns when it has ended."""
        self._lacking.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def lacking(self, name: str) -> str | None:
        """Why a device does not run, None = it does."""
        return self._lacking.get(name)

    def has_all(self, name: str) -> None:
        """A device has what it needs to run."""
        if self._lacking.pop(name, None) is not None:
            _logger.info("runs now", extra={"device": name})
            self._board.entry(name).set_state("starting", None, self._clock.wall_ms())
            self._news.put_device(name, "link", {"state": "ok", "reason": None})

    async def _supervise(self, name: str, start: Start) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                await start()
            except PrivateFileError as error:
                self._note_lacking(name, str(error))
            except Exception:
                _logger.exception("task ended by a fault", extra={"task": name})
                self._note_fault(name)
            await asyncio.sleep(backoff.failed())

    def _note_lacking(self, name: str, reason: str) -> None:
        if name in self._board and self._lacking.get(name) != reason:
            self._lacking[name] = reason
            _logger.warning("does not run", extra={"device": name, "reason": reason})
            self._board.entry(name).set_state(NOT_RUNNING, reason, self._clock.wall_ms())
            self._news.put_device(name, "link", {"state": NOT_RUNNING, "reason": reason[:256]})

    def _note_fault(self, name: str) -> None:
        if name in self._board:
            entry = self._board.entry(name)
            entry.count("restarts")
            reason = "its task ended by a fault and is started again; see the log"
            entry.set_state("failed", reason, self._clock.wall_ms())
