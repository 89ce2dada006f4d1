"""Takes stored files in: header, object store, index; each file with its own verdict.

The header is read before anything is kept, so that what is no DICOM instance leaves nothing behind.
A verdict STORED means: the object is durable and the index has committed it.
"""

import asyncio
import errno
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from wardlight_cloud.dicomweb.storing import Arrived, Taken, Verdict
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.intake import ImageIntake
from wardlight_cloud.store.image_arrivals import InstanceHeader, PutOutcome, Source
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_cloud.store.object_room import NoRoomError
from wardlight_shared.errors import StorageError

_AT_A_TIME: Final = 8


class Headers(Protocol):
    """What reads a file's header."""

    async def read(self, path: Path) -> InstanceHeader:
        """The header; HeaderError: no instance, for ever. StorageError: try again."""


class FileIntake:
    """Takes files in, several at a time."""

    def __init__(self, objects: ObjectStore, headers: Headers, intake: ImageIntake) -> None:
        self._objects = objects
        self._headers = headers
        self._intake = intake

    async def take(
        self, files: Sequence[Arrived], *, study_uid: str | None, peer: str
    ) -> Sequence[Taken]:
        """As Intake; files at the same time share transactions of the index."""
        source = Source("stow", peer=peer, received_at=datetime.now(UTC))
        room = asyncio.Semaphore(_AT_A_TIME)

        async def kept(file: Arrived) -> Taken | InstanceHeader:
            async with room:
                return await self._kept(file, study_uid)

        # All are durable before the first is put on the index: so they share a transaction.
        found = await asyncio.gather(*map(kept, files))
        pairs = zip(files, found, strict=True)
        return await asyncio.gather(*(self._indexed(*pair, source) for pair in pairs))

    async def _kept(self, file: Arrived, study_uid: str | None) -> Taken | InstanceHeader:
        """The header of a file that is in the object store now, or why it is not."""
        try:
            header = await self._headers.read(file.file)
        except HeaderError as error:
            return Taken(Verdict.NO_STUDY if error.reason == "study" else Verdict.UNREADABLE)
        except StorageError:
            return Taken(Verdict.FAILED)
        if study_uid is not None and header.study_uid != study_uid:
            return _taken(Verdict.OTHER_STUDY, header)
        try:
            await self._objects.put_file(file.sha256, file.file)
        except StorageError as error:
            return _taken(Verdict.NO_ROOM if _is_full(error) else Verdict.FAILED, header)
        return header

    async def _indexed(self, file: Arrived, found: Taken | InstanceHeader, source: Source) -> Taken:
        if isinstance(found, Taken):
            return found
        header = found
        try:
            taken = await self._intake.take(file.sha256, file.size, source, header=header)
        except (StorageError, HeaderError):
            return _taken(Verdict.FAILED, header)
        is_conflict = taken.outcome is PutOutcome.CONFLICT
        return _taken(Verdict.CONFLICT if is_conflict else Verdict.STORED, header)


def _taken(verdict: Verdict, header: InstanceHeader) -> Taken:
    return Taken(verdict, header.study_uid, header.series_uid, header.sop_class, header.sop_uid)


def _is_full(error: BaseException) -> bool:
    cause = error.__cause__
    is_disk = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
    return is_disk or isinstance(error, NoRoomError)
