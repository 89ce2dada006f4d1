"""One running process of a child: its log, its process group, its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardlight_cloud.store.embedded.processes import exited
from wardlight_cloud.store.embedded.tether import tethered

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_LARGEST_LOG_BYTES = 4 * 1024 * 1024
_TAIL_BYTES = 2000


class ChildProcess:
    """A process in a group of its own, tied to our life, that writes to a log file.

    Made inside the event loop, in whose thread's life the process's is bound up. `pid` is the
    program's own, for the launcher becomes the program. When the process ends, what it left of its
    group is killed.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._end = asyncio.create_task(self._reap(), name=f"end of process {process.pid}")

    @classmethod
    def spawn(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log_file: Path,
        death_signal: signal.Signals,
    ) -> "ChildProcess":
        """Start `argv`, with `env` added to our environment and its output added to the log."""
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log_file.is_file() and log_file.stat().st_size > _LARGEST_LOG_BYTES:
            log_file.replace(log_file.with_suffix(".log.1"))
        with os.fdopen(os.open(log_file, _APPEND, 0o600), "ab") as log:
            process = subprocess.Popen(
                tethered(list(argv), death_signal=death_signal),
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal reaches the supervisor alone
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the end has been seen and the process collected."""
        return self._end.done()

    async def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code (negative: a signal), or None when the process lives on at the timeout."""
        await asyncio.wait({self._end}, timeout=timeout_s)
        return self._end.result() if self._end.done() else None

    def send(self, number: signal.Signals) -> None:
        """Signal the process itself; nothing happens once it was collected."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(
        self, number: signal.Signals, within_s: float, hurry: asyncio.Event | None = None
    ) -> None:
        """Ask the process to stop; kill it at the deadline, or as soon as `hurry` is set."""
        self.send(number)
        waiting: set[asyncio.Task[Any]] = {self._end}
        if hurry is not None:
            waiting.add(asyncio.create_task(hurry.wait(), name=f"hurry for process {self.pid}"))
        try:
            await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting - {self._end}:
                task.cancel()
            if not self._end.done():
                self.send(signal.SIGKILL)
        await asyncio.wait({self._end})

    async def _reap(self) -> int:
        await exited(self.pid)
        # Before the process is collected, so that its number cannot mean anybody else yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()


def log_tail(log_file: Path) -> str:
    """The end of a log, for the error that a person will read."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, log_file.stat().st_size - _TAIL_BYTES))
            return f"{file.read().decode(errors='replace').strip()} (see {log_file})"
    except OSError:
        return "it left no log"
