"""Keeps one child alive: start, wait until it serves, wait for its end, start again."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wardlight_lab.supervise.backoff import is_fast_death, is_looping, restart_pause_s
from wardlight_lab.supervise.child import Child, ChildStatus, State
from wardlight_lab.supervise.errors import ChildNotReady
from wardlight_lab.supervise.process import ChildProcess, log_tail
from wardlight_lab.supervise.warden_link import WardenLink

_log = logging.getLogger(__name__)
_ASK_EVERY_S = 0.05
_HEALTH_EVERY_S = 1.0
_ANSWER_WITHIN_S = 5.0
_FIRST_START_ATTEMPTS = 3


class Keeper:
    """The life of one child under a supervisor; `run` is its task."""

    def __init__(
        self, child: Child, log_file: Path, warden: WardenLink, changed: Callable[[], None]
    ) -> None:
        self.child = child
        self.log_file = log_file
        self.status = ChildStatus(State.STARTING)
        self._warden = warden
        self._changed = changed
        self._process: ChildProcess | None = None
        self._was_ready = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def process(self) -> ChildProcess | None:
        """The running process, if any."""
        return self._process

    async def run(self) -> None:
        """Keep the child alive until `stop`; ChildNotReady when it never serves at all."""
        fast_deaths = 0
        while not self._stopping.is_set():
            ready_for_s = await self._one_life()
            if self._stopping.is_set():
                return
            is_fast = is_fast_death(ready_for_s, self.status.last_exit)
            fast_deaths = fast_deaths + 1 if is_fast else 0
            if not self._was_ready.is_set() and fast_deaths >= _FIRST_START_ATTEMPTS:
                raise ChildNotReady(f"{self.child.name} does not start: {log_tail(self.log_file)}")
            await self._pause(fast_deaths)

    async def serving(self) -> None:
        """Return once the child has been ready for the first time."""
        await self._was_ready.wait()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop the process and start no other; `hurry` cuts the deadline short."""
        self._stopping.set()
        if self._process is not None:
            await self._process.stop(self.child.stop_signal, self.child.stop_within_s, hurry)

    async def _one_life(self) -> float | None:
        """One process from start to end; the seconds for which it was ready, None if never."""
        if not await self._is_prepared() or self._stopping.is_set():
            return None
        process = self._spawn()
        ready_at = await self._ready_at(process)
        code = await self._end_of(process)
        self._warden.forget(process.pid)
        self._process = None
        self._note_end(code)
        return None if ready_at is None else time.monotonic() - ready_at

    async def _is_prepared(self) -> bool:
        try:
            await self.child.before_start()
        except Exception:  # noqa: BLE001 - a supervisor outlives what it supervises
            _log.exception("child could not be prepared", extra={"child": self.child.name})
            self._note_end(None)
            return False
        return True

    def _spawn(self) -> ChildProcess:
        process = ChildProcess.spawn(
            self.child.argv(),
            env=self.child.env,
            log_file=self.log_file,
            death_signal=self.child.stop_signal,
        )
        self._process = process
        self._warden.watch(process.pid, self.child.stop_signal)
        self._become(State.STARTING, pid=process.pid)
        return process

    async def _ready_at(self, process: ChildProcess) -> float | None:
        """When the child became ready; None when it ended first, or was killed for being late."""
        deadline = time.monotonic() + self.child.ready_within_s
        while not process.has_ended:
            if await self._answers() and not process.has_ended:
                self._was_ready.set()
                self._become(State.READY, pid=process.pid)
                return time.monotonic()
            if time.monotonic() >= deadline:
                _log.error("child was not ready in time", extra={"child": self.child.name})
                process.send(signal.SIGKILL)
                return None
            await process.wait(_ASK_EVERY_S)
        return None

    async def _end_of(self, process: ChildProcess) -> int:
        """The exit code; a child that may not hang is asked for its health meanwhile."""
        answered_at = time.monotonic()
        every_s = _HEALTH_EVERY_S if self.child.hung_after_s is not None else None
        while (code := await process.wait(every_s)) is None:
            if await self._answers():
                answered_at = time.monotonic()
            elif time.monotonic() - answered_at > (self.child.hung_after_s or 0.0):
                _log.error("child hangs and is killed", extra={"child": self.child.name})
                process.send(signal.SIGKILL)
        return code

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await self.child.ready()
        except (OSError, TimeoutError):
            return False

    async def _pause(self, fast_deaths: int) -> None:
        """Wait before the next start, unless the child is to be stopped."""
        if is_looping(fast_deaths):
            _log.error(
                "child is crash looping",
                extra={"child": self.child.name, "fast_deaths": fast_deaths},
            )
            self._become(State.CRASH_LOOPING, pid=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(restart_pause_s(fast_deaths)):
                await self._stopping.wait()

    def _note_end(self, code: int | None) -> None:
        stopped = self._stopping.is_set()
        level = logging.INFO if stopped else logging.WARNING
        _log.log(level, "child ended", extra={"child": self.child.name, "exit_code": code})
        restarts = self.status.restarts + (0 if stopped else 1)
        state = State.STOPPED if stopped else State.DEAD
        self.status = ChildStatus(state, None, restarts, code)
        self._changed()

    def _become(self, state: State, *, pid: int | None) -> None:
        self.status = replace(self.status, state=state, pid=pid)
        self._changed()
