"""Writes stored objects as files of an export: whole and right, or not at all.

A file appears under its name when all of it is there and its hash is that of the object.
Errors  OSError: the folder cannot be written to
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardlight_cloud.imaging.file_set import Stored, is_there
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared.errors import StorageError


@dataclass(slots=True)
class ExportReport:
    """What was written so far.

    ``asked``: studies that were asked for; ``studies`` counts those that are written, of an update
    also those that the folder has. ``failed``: (UID, why) of instances that are not there or are
    damaged. ``absent``: UIDs of studies that neither store nor folder has. ``versions``: files that
    share their UID with the one that is shown; ``versions_left``: those of these studies that were
    not asked for. ``kept``: studies of which the folder has files that the store does not have any
    more. ``differing``: studies of which files say another number, name, date of birth or sex than
    the register has of their patient.
    """

    asked: int = 0
    studies: int = 0
    written: int = 0
    present: int = 0
    octets: int = 0
    versions: int = 0
    versions_left: int = 0
    kept: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    differing: dict[str, tuple[str, ...]] = field(default_factory=dict)


class ExportFiles:
    """Files below a folder; what becomes of them is counted in ``report``."""

    def __init__(self, objects: ObjectStore, folder: Path, report: ExportReport) -> None:
        self._objects = objects
        self._folder = folder
        self._report = report

    async def put(self, stored: Stored, file_id: Sequence[str]) -> bool:
        """Have the file there; False, and a line of the report, where it cannot be had."""
        file = self._folder.joinpath(*file_id)
        if await asyncio.to_thread(is_there, file, stored):
            self._report.present += 1
            return True
        draft = file.with_suffix(".part")
        try:
            await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
            digest = await self._copy(stored, draft)
        except StorageError as error:
            return await self._failed(stored, str(error), draft)
        if digest != stored.sha256:
            return await self._failed(stored, "the stored object is damaged", draft)
        await asyncio.to_thread(draft.replace, file)
        self._report.written += 1
        self._report.octets += stored.size
        return True

    async def _failed(self, stored: Stored, why: str, draft: Path) -> bool:
        self._report.failed.append((stored.sop_uid, why))
        await asyncio.to_thread(draft.unlink, missing_ok=True)
        return False

    async def _copy(self, stored: Stored, draft: Path) -> bytes:
        digest = hashlib.sha256()
        file = await asyncio.to_thread(draft.open, "wb")
        try:
            async for piece in self._objects.stream(stored.sha256):
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(sync, file)
        finally:
            await asyncio.to_thread(file.close)
        return digest.digest()


def sync(file: Any) -> None:
    """Have all that was written to a file on its disk."""
    file.flush()
    os.fsync(file.fileno())
