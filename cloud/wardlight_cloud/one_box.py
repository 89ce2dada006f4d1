"""``wardlight-cloud all``: PostgreSQL where none is named, collector and API as child processes.

A child that ends is started again after a pause that grows; one that says that its settings are
wrong (exit code 2) ends everything. Children die with this process, however it dies.
"""

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.mqtt import tls_context
from wardlight_cloud.process import stop_event
from wardlight_cloud.store.embedded import EmbeddedPostgres, PostgresError
from wardlight_cloud.store.embedded.processes import exited
from wardlight_cloud.store.embedded.tether import tethered
from wardlight_cloud.store.open import EMBEDDED_FOLDER, migrate_store
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_WRONG_SETTINGS: Final = 2
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 2.0
_STOP_WITHIN_S: Final = 20.0


async def run(settings: Settings, config: Path | None) -> int:
    """Run all until SIGTERM or Ctrl-C; returns the exit code.

    ConfigError comes before anything is started; StorageError when PostgreSQL does not start.
    """
    tls_context(settings.broker)
    stop = stop_event()
    async with AsyncExitStack() as stack:
        if settings.database.dsn is None:
            server = EmbeddedPostgres(settings.data_dir / EMBEDDED_FOLDER)
            try:
                await stack.enter_async_context(server)
            except PostgresError as error:
                raise StorageError(str(error)) from error
            keeping = asyncio.create_task(server.keep_running(), name="postgres")
            stack.callback(keeping.cancel)
        await migrate_store(settings)
        arguments = [] if config is None else ["--config", str(config)]
        async with asyncio.TaskGroup() as group:
            children = [
                group.create_task(_keep_running([name, *arguments], stop), name=f"child {name}")
                for name in ("collect", "serve")
            ]
    return max(child.result() for child in children)


async def _keep_running(arguments: Sequence[str], stop: asyncio.Event) -> int:
    backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    while not stop.is_set():
        process = _started(arguments)
        code = await _watched(process, stop)
        if code == _WRONG_SETTINGS:
            stop.set()
            return code
        if not stop.is_set():
            _log.error("process ended", extra={"child": arguments[0], "exit_code": code})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.failed()):
                    await stop.wait()
    return 0


def _started(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        tethered([sys.executable, "-m", "wardlight_cloud", *arguments]),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in a terminal reaches this process alone
    )


async def _watched(process: subprocess.Popen[bytes], stop: asyncio.Event) -> int:
    """The exit code of the child, which is asked to stop when everything stops."""
    end = asyncio.create_task(exited(process.pid), name=f"end of {process.pid}")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([end, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not end.done():
            process.send_signal(signal.SIGTERM)
            await asyncio.wait([end], timeout=_STOP_WITHIN_S)
    finally:
        stopping.cancel()
        if not end.done():
            process.kill()
    return process.wait()
