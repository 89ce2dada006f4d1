"""The life of an embedded PostgreSQL: made, started, found ready, stopped, brought back.

The server is a direct child (never `pg_ctl start`), listens on a Unix socket in a private folder
and on 127.0.0.1 only when asked, and stops when the process that started it dies, however it dies.
A kill -9 of either costs nothing that was committed: the next start recovers.

    async with EmbeddedPostgres(folder) as postgres:    # or `with`, outside an event loop
        connection = await asyncpg.connect(postgres.dsn)

A supervisor that starts processes itself takes the steps of `ServerSteps` instead.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from wardlight_cloud.store.embedded.errors import PostgresError
from wardlight_cloud.store.embedded.probe import Answer
from wardlight_cloud.store.embedded.processes import exited
from wardlight_cloud.store.embedded.steps import ServerSteps

Result = TypeVar("Result")
_log = logging.getLogger(__name__)
_POLL_S = 0.02
_IMMEDIATE_WITHIN_S = 5.0
_RESTART_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_STABLE_AFTER_S = 60.0
_LOG_TAIL_BYTES = 2000
_LARGEST_LOG_BYTES = 4 * 1024 * 1024
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class EmbeddedPostgres(ServerSteps):
    """One PostgreSQL server for one data folder; ServerSteps names the arguments.

    Start it from a thread that lives as long as the server should (the main thread): the tie to
    the owner's life is a tie to the thread that starts it.
    """

    _process: subprocess.Popen[bytes] | None = None
    _silent_until = 0.0
    _stopping = False

    @property
    def log_file(self) -> Path:
        """What the server says before it opens its own log files, and when it cannot."""
        return self.data_dir / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The server's process id, when this object started it and it lives."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Prepare, start, and return once sessions are taken; PostgresError says why not."""
        self.prepare()
        try:
            self.before_start()
            self._spawn()
            while not self._takes_sessions():
                time.sleep(_POLL_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all sessions, write everything out and stop; at the deadline, stop at once."""
        self._stopping = True
        process = self._process
        if process is not None:
            for number, patience_s in self._stop_steps():
                _signal(process, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience_s)
                    break
            process.wait()
        self._finish_stop()

    def kill(self) -> None:
        """Kill the server as a crash would (SIGKILL), and wait for it; the cluster stays ours."""
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await _in_thread(self.prepare)
            await self._start_prepared()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """As `stop`, without blocking the event loop; when cancelled, stops at once."""
        self._stopping = True
        try:
            await self._stop_async()
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._finish_stop()

    async def keep_running(self) -> None:
        """Start the server again whenever it dies, until cancelled; run it as a named task."""
        deaths = 0
        while self._process is not None:
            started = time.monotonic()
            if self.pid is not None:
                await exited(self._process.pid)
            if self._stopping:
                return
            deaths = 1 if time.monotonic() - started > _STABLE_AFTER_S else deaths + 1
            code = self._process.wait()
            _log.error("database server died", extra={"exit_code": code, "deaths": deaths})
            await asyncio.sleep(_RESTART_PAUSES_S[min(deaths, len(_RESTART_PAUSES_S)) - 1])
            try:
                await self._start_prepared()
            except PostgresError:
                _log.exception("database server did not start again")

    async def _start_prepared(self) -> None:
        await _in_thread(self.before_start)
        self._spawn()  # in this thread: see the class docstring
        while not await _in_thread(self._takes_sessions):  # noqa: ASYNC110 - it does not announce it
            await asyncio.sleep(_POLL_S)

    def _spawn(self) -> None:
        if self.log_file.is_file() and self.log_file.stat().st_size > _LARGEST_LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with os.fdopen(os.open(self.log_file, _APPEND, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal reaches the owner alone
            )
        self._stopping = False
        self._silent_until = time.monotonic() + self._start_within_s
        _log.info("database server started", extra={"server": self._process.pid})

    def _takes_sessions(self) -> bool:
        answer = self.ask()
        if answer is Answer.SERVING:
            return True
        if self.pid is None:
            raise PostgresError(f"PostgreSQL did not start: {self._last_words()}")
        if answer is Answer.STARTING:
            self._silent_until = time.monotonic() + self._start_within_s
        if time.monotonic() >= self._silent_until:
            raise PostgresError(
                f"PostgreSQL said nothing for {self._start_within_s:g} s: {self._last_words()}"
            )
        return False

    def _stop_steps(self) -> tuple[tuple[signal.Signals, float], ...]:
        return (
            (signal.SIGINT, self._stop_within_s),  # fast: end sessions, checkpoint
            (signal.SIGQUIT, _IMMEDIATE_WITHIN_S),  # immediate: recover at the next start
            (signal.SIGKILL, _IMMEDIATE_WITHIN_S),
        )

    async def _stop_async(self) -> None:
        process = self._process
        if process is None:
            return
        for number, patience_s in self._stop_steps():
            _signal(process, number)
            if process.poll() is not None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await exited(process.pid)
                break
        process.wait()

    def _finish_stop(self) -> None:
        if self._process is not None:
            self._process = None
            _log.info("database server stopped")
        self.release()

    def _last_words(self) -> str:
        """The end of what the server said, for the error that a person will read."""
        logs = [self.log_file, *(self.cluster_folder / "log").glob("*.log")]
        present = [file for file in logs if file.is_file()]
        if not present:
            return "it left no log"
        newest = max(present, key=lambda file: file.stat().st_mtime_ns)
        with newest.open("rb") as file:
            file.seek(max(0, newest.stat().st_size - _LOG_TAIL_BYTES))
            return f"{file.read().decode(errors='replace').strip()} (see {newest})"


async def _in_thread(step: Callable[[], Result]) -> Result:
    """Run a blocking step to its end even when we are cancelled, so that clean-up follows it."""
    task = asyncio.create_task(asyncio.to_thread(step), name=f"postgres {step.__name__}")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a child that has not been waited for; Popen knows, so no stranger is hit."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
