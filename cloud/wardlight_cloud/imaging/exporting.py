"""Stored instances as a file set: DICOM files with their hashes checked, and a DICOMDIR.

Names follow from UIDs alone, so an export that was cut off goes on where it ended, and one that is
made again finds its files. A file appears under its name when it is whole and its hash is right.
An update keeps what the DICOMDIR of the folder names; a folder that holds other things is refused.
Source  PS3.10 8.2 (file ids: up to 8 components of 1 to 8 of A-Z 0-9 _), 8.6 (DICOMDIR)
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import orjson
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from wardlight_cloud.imaging.directory import (
    Record,
    directory,
    instance_record,
    patient_record,
    series_record,
    study_record,
)
from wardlight_cloud.imaging.file_set import FILE_SET_ID, file_id_of, is_there, prepared
from wardlight_cloud.imaging.folder import DIRECTORY_NAME
from wardlight_cloud.imaging.json_elements import readable
from wardlight_cloud.imaging.owner import Said, is_another, said_of
from wardlight_cloud.private_file import sync_folder
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, InstanceRef, Level
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared.errors import StorageError

_STUDIES_AT_ONCE: Final = 100
# What records of a directory are made of; nothing else of a header is read.
_WANTED: Final = frozenset(
    {
        "00080005", "00080008", "00080016", "00080018", "00080020", "00080023", "00080030",
        "00080033", "00080050", "00080060", "00081030", "0008103E", "00100010", "00100020",
        "0020000D", "0020000E", "00200010", "00200011", "00200013", "0040A043", "0040A491",
        "0040A493", "0040A030", "00420010", "00420012", "3004000A", "30060002", "30060008",
        "30060009", "300A0002", "300A0006", "300A0007", "30080250", "30080251", "00700080",
        "00700081", "00700082", "00700083", "00700084",
    }
)  # fmt: skip


class ExportStore(Protocol):
    """What an export asks of the index."""

    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        """See ImageStore."""

    async def headers(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""


@dataclass(slots=True)
class ExportReport:
    """What was written so far.

    ``failed``: (file, why) of instances that are not there or are damaged. ``absent``: UIDs of
    studies that the store does not have.
    """

    studies: int = 0
    written: int = 0
    present: int = 0
    octets: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


class Exporter:
    """Writes studies into a folder."""

    def __init__(
        self,
        store: ExportStore,
        objects: ObjectStore,
        folder: Path,
        *,
        is_update: bool = False,
    ) -> None:
        self._store = store
        self._objects = objects
        self._folder = folder
        self._is_update = is_update
        self._patients: dict[tuple[str, str], list[tuple[list[Said], Record]]] = {}
        self.report = ExportReport()

    async def export(self, studies: AsyncIterator[str]) -> ExportReport:
        """Write these studies, then the DICOMDIR of all that are in the folder.

        ConfigError for a folder that must not be written to.
        """
        earlier = await asyncio.to_thread(prepared, self._folder, is_update=self._is_update)
        done = set()
        async for study_uid in studies:
            await self._study(study_uid)
            done.add(study_uid)
        for study_uid in earlier:
            if study_uid not in done:
                await self._study(study_uid)
        await asyncio.to_thread(self._write_directory)
        return self.report

    async def _study(self, study_uid: str) -> None:
        found: dict[str, list[Record]] = {}
        first: dict[str, Dataset] = {}
        patient = ("", "")
        taken: set[tuple[str, ...]] = set()
        said: list[Said] = []
        stored = await self._store.headers(study_uid)
        if not stored:
            self.report.absent.append(study_uid)
            return
        self.report.studies += 1
        for ref, header in stored:
            attributes = _attributes(header)
            patient = _patient_of(header) or ("", study_uid)
            file_id = file_id_of(patient, ref, taken)
            if await self._instance(ref, file_id):
                if (names := said_of(orjson.loads(header))) not in said:
                    said.append(names)
                first.setdefault(ref.series_uid, attributes)
                record = instance_record(attributes, file_id, ref.transfer_syntax)
                found.setdefault(ref.series_uid, []).append(record)
        if not found:
            return
        whole = next(iter(first.values()))
        study = study_record(whole)
        for series_uid, instances in found.items():
            series = series_record(first[series_uid])
            series.below = instances
            study.below.append(series)
        self._record_of(patient, said, whole).below.append(study)

    def _record_of(self, patient: tuple[str, str], said: list[Said], whole: Dataset) -> Record:
        """The record of whom these objects name: one number may be two people's."""
        records = self._patients.setdefault(patient, [])
        for known, record in records:
            if not any(is_another(one, other) for one in said for other in known):
                known += [each for each in said if each not in known]
                return record
        record = patient_record(whole, *patient)
        records.append((said, record))
        return record

    async def _instance(self, ref: InstanceRef, file_id: Sequence[str]) -> bool:
        file = self._folder.joinpath(*file_id)
        if await asyncio.to_thread(is_there, file, ref):
            self.report.present += 1
            return True
        draft = file.with_suffix(".part")
        try:
            await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
            digest = await self._copy(ref, draft)
        except StorageError as error:
            self.report.failed.append(("/".join(file_id), str(error)))
            await asyncio.to_thread(draft.unlink, missing_ok=True)
            return False
        if digest != ref.sha256:
            self.report.failed.append(("/".join(file_id), "the stored object is damaged"))
            await asyncio.to_thread(draft.unlink, missing_ok=True)
            return False
        await asyncio.to_thread(draft.replace, file)
        self.report.written += 1
        self.report.octets += ref.size
        return True

    async def _copy(self, ref: InstanceRef, draft: Path) -> bytes:
        digest = hashlib.sha256()
        file = await asyncio.to_thread(draft.open, "wb")
        try:
            async for piece in self._objects.stream(ref.sha256):
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(_sync, file)
        finally:
            await asyncio.to_thread(file.close)
        return digest.digest()

    def _write_directory(self) -> None:
        octets = directory(
            [record for records in self._patients.values() for _, record in records],
            instance_uid=str(generate_uid(prefix="2.25.")),
            file_set_id=FILE_SET_ID,
        )
        draft = self._folder / f".{DIRECTORY_NAME}.part"
        with draft.open("wb") as file:
            file.write(octets)
            _sync(file)
        draft.replace(self._folder / DIRECTORY_NAME)
        sync_folder(self._folder)


async def studies_of(store: ExportStore, patient: UUID | None) -> AsyncIterator[str]:
    """UIDs of the studies of a patient of the register, or (None) of all there are."""
    patients = None if patient is None else (patient,)
    after, limit = -1, _STUDIES_AT_ONCE
    while True:
        query = ImageQuery(Level.STUDY, patients=patients, limit=limit, stored_after_seq=after)
        rows = await store.images(query)
        is_last = len(rows) < limit
        if not is_last and rows[0].commit_seq == rows[-1].commit_seq:
            limit *= 2  # more studies in one commit than were read
            continue
        for row in rows:
            if is_last or row.commit_seq != rows[-1].commit_seq:
                yield row.study_uid
                after = row.commit_seq
        if is_last:
            return


def _attributes(header: bytes) -> Dataset:
    every: dict[str, Any] = orjson.loads(header)
    kept = {
        tag: each for tag, each in every.items() if tag in _WANTED and "BulkDataURI" not in each
    }
    return readable(kept)


def _patient_of(header: bytes) -> tuple[str, str] | None:
    """Number and issuer; None: whoever has no number is another one in each study."""
    every = orjson.loads(header)
    patient_id, issuer = (
        str((every.get(tag, {}).get("Value") or [""])[0] or "").strip()
        for tag in ("00100020", "00100021")
    )
    return (patient_id, issuer) if patient_id else None


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
