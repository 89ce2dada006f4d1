"""Exports are made beside the API: in a process of its own, started when one waits.

Each API process looks every few seconds whether an export waits (asked for here or elsewhere, or
left by a process that ended) and starts ``export_process``, which makes what waits and ends. It
has a lower priority than the API, and a pool of its own. A store that was handed in, in tests,
cannot be opened by another process: there exports are made in the same one.
"""

import asyncio
import contextlib
import logging
import pickle
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.fhir.bulk.face import Exports
from wardlight_cloud.fhir.bulk.folder import ExportFolder
from wardlight_cloud.fhir.bulk.sources import access_of
from wardlight_cloud.fhir.bulk.work import Bounds
from wardlight_cloud.fhir.bulk.worker import ExportWorker, new_holder, sweep
from wardlight_cloud.fhir.router import FhirFace
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.exports import ExportLimits
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_LOOK_S: Final = 5.0
_SWEEP_S: Final = 60.0
_GOODBYE_S: Final = 10.0
_PROGRAM: Final = "wardlight_cloud.export_process"

Make = Callable[[], Awaitable[None]]
"""Makes all exports that wait."""


def folder_of(settings: Settings) -> ExportFolder:
    """Where files of exports are."""
    return ExportFolder(settings.data_dir / (settings.export.folder or "exports"))


def worker_of(settings: Settings, store: Store, holder: str) -> ExportWorker:
    """Makes exports with this store, by this name."""
    face = FhirFace(store, access_of, base_url=settings.http.base_url)
    export = settings.export
    bounds = Bounds(export.file_bytes, export.quota_bytes)
    return ExportWorker(store, face, folder_of(settings), bounds, holder)


@contextlib.asynccontextmanager
async def exporting(
    settings: Settings, store: Store, *, has_process: bool
) -> AsyncIterator[Exports]:
    """What the FHIR face is told of exports, which are made meanwhile."""
    export = settings.export
    folder = folder_of(settings)
    make = worker_of(settings, store, new_holder()).work
    if has_process:
        make = _Process(settings, store).run
    due = asyncio.Event()
    limits = ExportLimits(export.per_client, export.in_all, export.quota_bytes)
    keeper = _Keeper(store, folder, make, export.keep_hours, due)
    task = asyncio.create_task(keeper.run(), name="exports")
    try:
        yield Exports(folder, limits, export.keep_hours, due.set)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Keeper:
    """Looks for exports that wait, and for files that are over."""

    def __init__(
        self,
        store: Store,
        folder: ExportFolder,
        make: Make,
        keep_hours: float,
        due: asyncio.Event,
    ) -> None:
        self._store = store
        self._folder = folder
        self._make = make
        self._keep_hours = keep_hours
        self._due = due

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        swept_at = float("-inf")
        while True:
            self._due.clear()
            try:
                if loop.time() - swept_at >= _SWEEP_S:
                    await sweep(self._store, self._folder, keep_hours=self._keep_hours)
                    swept_at = loop.time()
                if await self._store.has_claimable_export():
                    await self._make()
            except (StorageError, OSError) as error:
                _log.warning("exports wait", extra={"error": str(error)})
            except Exception as error:  # noqa: BLE001 - the next look may find it mended
                _log.error("exports are not looked after", extra={"error": type(error).__name__})
            with contextlib.suppress(TimeoutError):
                # Not all processes at the same moment.
                async with asyncio.timeout(_LOOK_S * (1 + random.random())):  # noqa: S311
                    await self._due.wait()


class _Process:
    """Runs export_process, which gets the settings, secrets among them, by its standard input."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    async def run(self) -> None:
        """Until it has made all that waits; of one that was killed the next takes over at once."""
        holder = new_holder()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", _PROGRAM, stdin=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdin is not None  # noqa: S101 - a pipe
            process.stdin.write(pickle.dumps((self._settings, holder)))
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            if await process.wait() != 0:
                _log.warning(
                    "a process that makes exports ended", extra={"code": process.returncode}
                )
                await self._store.leave_exports(holder)
        finally:
            await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Its export is left to the next one."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
