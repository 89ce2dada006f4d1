"""Puts the DICOMweb face together: index, object store, header processes and intake.

Opened and closed with the API; the processes start with the first file or picture.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.dicomweb.access import Authenticate
from wardlight_cloud.dicomweb.arriving import sweep
from wardlight_cloud.dicomweb.face import DicomWebFace, DicomWebLimits
from wardlight_cloud.dicomweb.taking import FileIntake
from wardlight_cloud.imaging.intake import ImageIntake
from wardlight_cloud.imaging.matching import Issuers
from wardlight_cloud.imaging.pool import HeaderPool
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.objects import open_objects

_SCRATCH: Final = "dicomweb"
_LEFT_OVER_S: Final = 24 * 3600.0


@contextlib.asynccontextmanager
async def opened_face(
    settings: Settings,
    store: Store,
    authenticate: Authenticate,
    reads: ReadLog,
    *,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[DicomWebFace]:
    """The face; raises StorageError when the object store cannot be opened."""
    scratch = _scratch(settings)
    sweep(scratch, older_than=clock() - _LEFT_OVER_S)
    objects = await open_objects(settings)
    try:
        async with HeaderPool(settings.images) as headers:
            issuers = Issuers.of(settings.images)
            intake = ImageIntake(store, objects, headers, issuers=issuers)
            face = DicomWebFace(
                store, objects, FileIntake(objects, headers, intake), reads, authenticate,
                scratch=scratch, base_url=settings.http.base_url, limits=_limits(settings),
            )  # fmt: skip
            async with face:
                yield face
    finally:
        await objects.close()


def _scratch(settings: Settings) -> Path:
    """On the disk of the objects, where they are a folder: a whole file is moved, not copied."""
    if settings.objects.folder is not None:
        return settings.objects.folder.parent / f"{settings.objects.folder.name}-{_SCRATCH}"
    return settings.data_dir / _SCRATCH


def _limits(settings: Settings) -> DicomWebLimits:
    own = settings.dicomweb
    return DicomWebLimits(
        processes=own.processes, decode_s=own.decode_s,
        decode_memory_bytes=own.decode_memory_bytes, pictures_bytes=own.pictures_bytes,
        largest_bytes=settings.objects.largest_bytes,
        cold_s=None if settings.objects.cold is None else settings.objects.cold.delay_s,
    )  # fmt: skip
