"""Makes exports, one after the other, until none waits.

Errors  StorageError is waited out by whoever runs it: the lease ends, and what was saved stays
"""

import logging
import secrets
from typing import Final

from starlette.types import ASGIApp

from wardlight_cloud.fhir.bulk.folder import ExportFolder
from wardlight_cloud.fhir.bulk.saving import LEASE_S
from wardlight_cloud.fhir.bulk.sources import BulkStore
from wardlight_cloud.fhir.bulk.work import Bounds, Work
from wardlight_cloud.store.exports import ExportStore

_log = logging.getLogger(__name__)
_NAME_BYTES: Final = 8


def new_holder() -> str:
    """A name for a process that claims exports."""
    return secrets.token_hex(_NAME_BYTES)


class ExportWorker:
    """Claims exports as ``holder``; ``face`` is the FHIR face, with sources.access_of."""

    def __init__(
        self,
        store: BulkStore,
        face: ASGIApp,
        folder: ExportFolder,
        bounds: Bounds,
        holder: str,
    ) -> None:
        self._store = store
        self._face = face
        self._folder = folder
        self._bounds = bounds
        self._holder = holder

    async def work(self) -> None:
        """Make what waits."""
        while (export := await self._store.claim_export(self._holder, lease_s=LEASE_S)) is not None:
            about = {"export": str(export.export_id), "attempt": export.attempt}
            _log.info("export taken", extra=about)
            await Work(
                self._store, self._face, self._folder, export, self._holder, self._bounds
            ).run()


async def sweep(store: ExportStore, folder: ExportFolder, *, keep_hours: float) -> None:
    """Remove what is over: exports that ended long ago, files that are nobody's."""
    for export_id in await store.outdated_exports(hours=keep_hours):
        await store.end_export(export_id)
        _log.info("export removed", extra={"export": str(export_id)})
    found = folder.exports()  # before it is asked which are live: a new one is not among them
    live = await store.live_exports() if found else frozenset()
    for export_id in found:
        if export_id not in live:
            folder.remove(export_id)
