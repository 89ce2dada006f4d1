"""How far an export has come, brought to the disk and told to the store beside the work.

The disk may need a second for what was written in two: who makes the export goes on meanwhile, up
to _UNSAVED_OCTETS. One saving is under way at a time, so what the store knows only grows.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import msgspec

from wardlight_cloud.fhir.bulk.folder import ExportFile, Mark, Writer
from wardlight_cloud.store.exports import Export, ExportStore

LEASE_S: Final = 60.0
_SAVE_S: Final = 3.0
_SAVE_OCTETS: Final = 64 << 20
_UNSAVED_OCTETS: Final = 256 << 20


class Progress(msgspec.Struct, frozen=True):
    """How far an export is: files as far as they count, the step, the place in it."""

    files: tuple[ExportFile, ...] = ()
    step: int = 0
    place: bytes | None = None


def progress_of(export: Export) -> Progress:
    """What was saved of an export."""
    if export.progress is None:
        return Progress()
    return msgspec.msgpack.decode(export.progress, type=Progress)


class LostError(Exception):
    """The export was ended, or somebody else has it."""


class TooMuchError(Exception):
    """The files of all exports are too large together."""


class Saving:
    """Of one export by ``holder``; a context manager, whose end waits for what is under way.

    ``quota``: octets of the files of all exports. Everything raises LostError, TooMuchError,
    OSError, StorageError, also of a saving that began earlier.
    """

    def __init__(
        self,
        store: ExportStore,
        export: Export,
        holder: str,
        writer: Writer,
        saved: Progress,
        *,
        quota: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._export = export
        self._holder = holder
        self._writer = writer
        self._saved = saved
        self._quota = quota
        self._clock = clock
        self._begun_at, self._begun_octets = clock(), writer.octets
        self._under_way: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way})  # a thread has the files
            if error is None:
                await self._ended()
            elif not self._under_way.cancelled():
                self._under_way.exception()

    async def written(self, step: int, place: bytes | None) -> None:
        """A part was written. ``place``: where to go on behind it, None = nowhere within it."""
        octets = self._writer.octets - self._begun_octets
        if self._under_way is not None and (self._under_way.done() or octets >= _UNSAVED_OCTETS):
            await self._ended()
        is_due = octets >= _SAVE_OCTETS or self._clock() - self._begun_at >= _SAVE_S
        if self._under_way is None and is_due:
            mark = None
            if place is not None:
                mark = self._writer.mark()
                self._saved = Progress(mark.files, step, place)
            self._begun_at, self._begun_octets = self._clock(), self._writer.octets
            saving = self._save(mark, self._saved)
            self._under_way = asyncio.create_task(saving, name="save an export")
        await asyncio.sleep(0)

    async def ended(self, steps: int) -> None:
        """So many steps are at their end."""
        if self._under_way is not None:
            await self._ended()
        self._saved = Progress(await self.flushed(), steps)

    async def flushed(self) -> tuple[ExportFile, ...]:
        """Everything that was written, once it is on the disk."""
        mark = self._writer.mark()
        await asyncio.to_thread(mark.flush)
        return mark.files

    async def _ended(self) -> None:
        task, self._under_way = self._under_way, None
        if task is not None:
            await task

    async def _save(self, mark: Mark | None, progress: Progress) -> None:
        if mark is not None:
            await asyncio.to_thread(mark.flush)
        kept = await self._store.save_export(
            self._export.export_id, self._holder, msgspec.msgpack.encode(progress),
            self._writer.octets, lease_s=LEASE_S,
        )  # fmt: skip
        if not kept:
            raise LostError
        if await self._store.export_octets() > self._quota:
            raise TooMuchError("The files of all exports together have become too large.")
