"""One export being made: steps of its plan into files, saved on the way, under a lease.

What was saved is on the disk. Whoever takes the export over goes on from there, with files of its
own; what was written behind it does not count.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson
from starlette.types import ASGIApp

from wardlight_cloud.fhir.answers import unforeseen
from wardlight_cloud.fhir.bulk.folder import DELETED, ERRORS, ExportFile, ExportFolder, Writer
from wardlight_cloud.fhir.bulk.plan import Plan, decoded
from wardlight_cloud.fhir.bulk.saving import (
    LostError,
    Progress,
    Saving,
    TooMuchError,
    progress_of,
)
from wardlight_cloud.fhir.bulk.sources import BulkStore, Part, SearchFailed, Sources
from wardlight_cloud.fhir.outcome import FhirError, outcome_issue
from wardlight_cloud.store.exports import Commits, Export
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_MOST_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """Octets of a file, after which another one begins, and of all files of all exports."""

    file: int
    quota: int


class Work:
    """Makes one export that was claimed by ``holder``."""

    def __init__(
        self,
        store: BulkStore,
        face: ASGIApp,
        folder: ExportFolder,
        export: Export,
        holder: str,
        bounds: Bounds,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._face = face
        self._folder = folder
        self._export = export
        self._holder = holder
        self._bounds = bounds
        self._clock = clock

    async def run(self) -> None:
        """Until it is done, cannot be done, or is no longer ours. Raises StorageError."""
        export = self._export
        about = {"export": str(export.export_id), "client": export.owner.client}
        try:
            files = await self._made()
        except LostError:
            _log.info("export ended while it was made", extra=about)
            if await self._store.export(export.export_id) is None:
                self._folder.remove(export.export_id)
        except asyncio.CancelledError:
            await self._store.leave_exports(self._holder)
            raise
        except StorageError:
            raise
        except (SearchFailed, TooMuchError, FhirError) as error:
            await self._failed(str(error))
        except OSError as error:
            await self._failed(f"The files cannot be written ({error.strerror}).")
        except Exception as error:  # noqa: BLE001 - the client gets an OperationOutcome
            await self._failed(str(unforeseen(error)))
        else:
            counts = {each.kind: each.count for each in files}
            _log.info("export done", extra={**about, "resources": counts})

    async def _failed(self, problem: str) -> None:
        export = self._export
        _log.warning("export failed", extra={"export": str(export.export_id)})
        await self._store.fail_export(export.export_id, self._holder, problem)
        self._folder.remove(export.export_id)

    async def _made(self) -> tuple[ExportFile, ...]:
        export = self._export
        if export.attempt > _MOST_ATTEMPTS:
            raise SearchFailed(f"It was begun {_MOST_ATTEMPTS} times and never came to an end.")
        plan = decoded(export.plan)
        progress = progress_of(export)
        if not self._folder.has(export.export_id, progress.files):
            progress = Progress()
        sources = Sources(
            self._store, self._face, plan, Commits(export.since_seq, export.commit_seq)
        )
        with self._folder.writer(
            export.export_id, export.attempt, progress.files, largest=self._bounds.file
        ) as writer:
            async with self._saving(writer, progress) as saving:
                await self._steps(plan, sources, writer, progress, saving)
                for note in plan.notes:
                    issue = outcome_issue("warning", "not-supported", note)
                    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
                    writer.write(ERRORS, orjson.dumps(outcome) + b"\n", 1)
                files = await saving.flushed()
            done = msgspec.msgpack.encode(Progress(files, len(plan.steps)))
            if not await self._store.finish_export(
                export.export_id, self._holder, done, writer.octets
            ):
                raise LostError
        return files

    def _saving(self, writer: Writer, progress: Progress) -> Saving:
        return Saving(
            self._store, self._export, self._holder, writer, progress,
            quota=self._bounds.quota, clock=self._clock,
        )  # fmt: skip

    async def _steps(
        self, plan: Plan, sources: Sources, writer: Writer, progress: Progress, saving: Saving
    ) -> None:
        for number in range(progress.step, len(plan.steps)):
            step = plan.steps[number]
            place = progress.place if number == progress.step else None
            async with contextlib.aclosing(sources.parts(step, place)) as parts:
                async for part in parts:
                    _write(writer, step.kind, part)
                    await saving.written(number, part.place)
            if number + 1 < len(plan.steps):
                await saving.ended(number + 1)


def _write(writer: Writer, kind: str, part: Part) -> None:
    writer.write(kind, part.text, part.count)
    if part.deleted:
        entries = [
            {"request": {"method": "DELETE", "url": f"{kind}/{resource_id}"}}
            for kind, resource_id in part.deleted
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        writer.write(DELETED, orjson.dumps(bundle) + b"\n", 1)
