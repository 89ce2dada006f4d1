"""Runs the demo's processes: each is started, found ready, and started again when it dies.

    async with Supervisor(data_dir, on_change=rewrite_ready_file) as supervisor:
        await supervisor.start(postgres_child(server))
        await supervisor.start(Child(name="api", command=[...], ready=...))
        await supervisor.wait_for_stop(for_s=60)

SIGINT, SIGTERM and SIGHUP end `wait_for_stop`; a second one ends the children without patience. The
children stop in the reverse order of their start. If the supervisor itself is killed, the kernel
signals the children and a warden ends what is left.
Make it in the main thread: the children's life is tied to the thread that starts them.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from wardlight_cloud.folder_lock import FolderInUse, FolderLock
from wardlight_lab.supervise.child import Child, ChildStatus
from wardlight_lab.supervise.errors import DataFolderInUse, StopRequested
from wardlight_lab.supervise.keeper import Keeper
from wardlight_lab.supervise.warden_link import WardenLink

_log = logging.getLogger(__name__)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOCK_POLL_S = 0.1


class Supervisor:
    """Owns a data folder and the processes that work in it.

    `on_change` is called in the event loop, with the status of every child, after each change of a
    process id or a state; it must not block for long.
    `lock_within_s`: how long to wait for the children of a supervisor that was killed to end.
    `warden_grace_s`: how long those children get before SIGKILL.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        on_change: Callable[[Mapping[str, ChildStatus]], None] | None = None,
        handle_signals: bool = True,
        lock_within_s: float = 15.0,
        warden_grace_s: float = 5.0,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._on_change = on_change
        self._handle_signals = handle_signals
        self._lock_within_s = lock_within_s
        self._warden_grace_s = warden_grace_s
        self._lock = FolderLock(self.data_dir / "supervisor.lock")
        self._keepers: dict[str, Keeper] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._warden: WardenLink | None = None
        self._stop_requested = asyncio.Event()
        self._hurry = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = await self._acquire_lock()
        self._warden = WardenLink(grace_s=self._warden_grace_s, held=held)
        if self._handle_signals:
            for number in _STOP_SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, self.request_stop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for name in reversed(list(self._keepers)):
                await self._stop_at_the_end(name)
        finally:
            if self._handle_signals:
                for number in _STOP_SIGNALS:
                    asyncio.get_running_loop().remove_signal_handler(number)
            if self._warden is not None:
                await asyncio.to_thread(self._warden.close)
            self._lock.release()

    def status(self) -> dict[str, ChildStatus]:
        """Every child by name, in the order of their start."""
        return {name: keeper.status for name, keeper in self._keepers.items()}

    def pids(self) -> dict[str, int | None]:
        """The process id of every child; None while it is down."""
        return {name: status.pid for name, status in self.status().items()}

    @property
    def warden_pid(self) -> int | None:
        """The process id of the warden, for tests and `ps`."""
        return self._warden.pid if self._warden is not None else None

    def log_file(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.data_dir / "logs" / f"{name}.log"

    async def start(self, child: Child) -> None:
        """Start a child and return once it is ready; from then on it is kept alive.

        Raises ChildNotReady when it dies three times before it was ever ready, StopRequested when a
        stop is asked for meanwhile, ValueError for a name that is taken.
        """
        if child.name in self._keepers or self._warden is None:
            raise ValueError(f"{child.name!r} cannot start: the name is taken, or nobody watches")
        keeper = Keeper(child, self.log_file(child.name), self._warden, self._tell)
        task = asyncio.create_task(keeper.run(), name=f"keeper of {child.name}")
        self._keepers[child.name], self._tasks[child.name] = keeper, task
        ready = asyncio.create_task(keeper.serving(), name=f"{child.name} is ready")
        stop = asyncio.create_task(self._stop_requested.wait(), name="stop requested")
        try:
            await asyncio.wait({task, ready, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            stop.cancel()
        if task.done():
            await self._drop(child.name)
        if self._stop_requested.is_set():
            raise StopRequested("asked to stop")

    async def stop(self, name: str) -> None:
        """Stop one child for good, patiently, and forget it."""
        await self._keepers[name].stop(self._hurry)
        await self._drop(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a child's process a signal, as chaos does; returns the process id it went to."""
        process = self._keepers[name].process
        if process is None:
            return None
        process.send(number)
        return process.pid

    def request_stop(self) -> None:
        """End `wait_for_stop`; the second time, stop being patient."""
        if self._stop_requested.is_set():
            self._hurry.set()
        self._stop_requested.set()

    async def wait_for_stop(self, for_s: float | None = None) -> bool:
        """Wait until a stop is asked for, or at most `for_s`; True when it was asked for.

        Raises what ended a keeper, should one fail.
        """
        waiting = [
            asyncio.create_task(self._stop_requested.wait(), name="stop requested"),
            *self._tasks.values(),
        ]
        try:
            await asyncio.wait(waiting, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting[0].cancel()
        for task in [task for task in self._tasks.values() if task.done()]:
            task.result()
        return self._stop_requested.is_set()

    async def _stop_at_the_end(self, name: str) -> None:
        try:
            await self.stop(name)
        except Exception:  # noqa: BLE001 - the others must be stopped all the same
            _log.exception("child had failed before it was stopped", extra={"child": name})

    async def _drop(self, name: str) -> None:
        """Wait for a keeper's end and forget it; its error, if any, is raised."""
        try:
            await self._tasks[name]
        finally:
            del self._keepers[name], self._tasks[name]
            self._tell()

    async def _acquire_lock(self) -> int:
        deadline = time.monotonic() + self._lock_within_s
        while True:
            try:
                self._lock.acquire()
            except FolderInUse as error:
                if time.monotonic() >= deadline:
                    raise DataFolderInUse(str(error)) from error
                await asyncio.sleep(_LOCK_POLL_S)
            else:
                break
        descriptor = self._lock.descriptor
        if descriptor is None:
            raise DataFolderInUse("the lock was taken and lost")
        return descriptor

    def _tell(self) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(self.status())
        except Exception:  # noqa: BLE001 - a full disk must not end the supervision
            _log.exception("a change could not be told")
