"""Stored instances as a file set: DICOM files with their hashes checked, and a DICOMDIR.

Names follow from UIDs alone, so an export that was cut off goes on where it ended, and one that is
made again finds its files. A file appears under its name when it is whole and its hash is right.
An update keeps what the DICOMDIR of the folder names, also of studies that the store has no more; a
folder that holds other things is refused. Files that share their SOP Instance UID with the one that
is shown lie in a folder of their own and in no DICOMDIR, which would name one UID twice.
Source  PS3.10 8.2 (file ids: up to 8 components of 1 to 8 of A-Z 0-9 _), 8.6 (DICOMDIR)
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
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
from wardlight_cloud.imaging.earlier_directory import keep, records_of, studies_in
from wardlight_cloud.imaging.export_files import ExportFiles, ExportReport, sync
from wardlight_cloud.imaging.file_set import FILE_SET_ID, file_id_of, prepare, version_id_of
from wardlight_cloud.imaging.folder import DIRECTORY_NAME
from wardlight_cloud.imaging.json_elements import readable
from wardlight_cloud.imaging.owner import Said, differences, is_another, said_of
from wardlight_cloud.private_file import sync_folder
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, InstanceRef, Level, Version
from wardlight_cloud.store.object_base import ObjectStore

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

    async def versions(self, sop_uid: str | None = None) -> tuple[Version, ...]:
        """See ImageStore."""


class Exporter:
    """Writes studies into a folder; ``with_versions``: with the files that are not shown.

    ``owner``: whose the studies are that are asked for; the report says which say otherwise.
    """

    def __init__(
        self,
        store: ExportStore,
        objects: ObjectStore,
        folder: Path,
        *,
        is_update: bool = False,
        with_versions: bool = False,
        owner: Patient | None = None,
    ) -> None:
        self.report = ExportReport()
        self._store = store
        self._files = ExportFiles(objects, folder, self.report)
        self._folder = folder
        self._is_update = is_update
        self._with_versions = with_versions
        self._owner = owner
        self._versions: dict[str, list[Version]] = {}
        self._patients: dict[tuple[str, str], list[tuple[list[Said], Record]]] = {}

    async def export(
        self, studies: AsyncIterator[str], *, is_everything: bool = False
    ) -> ExportReport:
        """Write these studies, then the DICOMDIR of all that are in the folder.

        ``is_everything``: they are all that there are, so versions of no study are written too.
        ConfigError for a folder that must not be written to.
        """
        await asyncio.to_thread(prepare, self._folder, is_update=self._is_update)
        earlier = await asyncio.to_thread(self._earlier)
        self._versions = versions_by_study(await self._store.versions())
        done: set[str] = set()
        gone: list[str] = []
        async for study_uid in studies:
            if study_uid in done:  # named twice, or more came to it while others were written
                continue
            done.add(study_uid)
            self.report.asked += 1
            if not await self._study(study_uid, self._owner):
                gone.append(study_uid)
        for study_uid in studies_in(earlier):
            if study_uid not in done:
                done.add(study_uid)
                if not await self._study(study_uid):
                    gone.append(study_uid)
        if is_everything:
            for study_uid in sorted(self._versions.keys() - done):
                await self._beside(study_uid)
        records = [record for records in self._patients.values() for _, record in records]
        kept = await asyncio.to_thread(keep, earlier, records, self._folder)
        self.report.kept = len(kept)
        self.report.absent += [each for each in gone if each not in kept]
        await asyncio.to_thread(self._write_directory, records)
        return self.report

    def _earlier(self) -> tuple[Record, ...]:
        directory = self._folder / DIRECTORY_NAME
        return records_of(directory) if directory.exists() else ()

    async def _beside(self, study_uid: str) -> bool:
        """Files of a study that are not shown; whether there is one."""
        versions = self._versions.get(study_uid, [])
        if not self._with_versions:
            self.report.versions_left += len(versions)
            return False
        taken: set[tuple[str, ...]] = set()
        for version in versions:
            if await self._files.put(version, version_id_of(version, taken)):
                self.report.versions += 1
        return bool(versions)

    async def _study(self, study_uid: str, owner: Patient | None = None) -> bool:
        """Write a study; whether the store has it, or a version of it."""
        found: dict[str, list[Record]] = {}
        first: dict[str, Dataset] = {}
        patient = ("", "")
        taken: set[tuple[str, ...]] = set()
        said: list[Said] = []
        has_versions = await self._beside(study_uid)
        stored = await self._store.headers(study_uid)
        if not stored:
            return has_versions
        self.report.studies += 1
        for ref, header in stored:
            attributes = _attributes(header)
            patient = _patient_of(header) or ("", study_uid)
            file_id = file_id_of(patient, ref, taken)
            if await self._files.put(ref, file_id):
                if (names := said_of(orjson.loads(header))) not in said:
                    said.append(names)
                first.setdefault(ref.series_uid, attributes)
                record = instance_record(attributes, file_id, ref.transfer_syntax)
                found.setdefault(ref.series_uid, []).append(record)
        if not found:
            return True
        differing = {what for each in said for what in (differences(each, owner) if owner else ())}
        if differing:
            self.report.differing[study_uid] = tuple(sorted(differing))
        whole = next(iter(first.values()))
        study = study_record(whole)
        for series_uid, instances in found.items():
            series = series_record(first[series_uid])
            series.below = instances
            study.below.append(series)
        self._record_of(patient, said, whole).below.append(study)
        return True

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

    def _write_directory(self, records: Sequence[Record]) -> None:
        octets = directory(
            records,
            instance_uid=str(generate_uid(prefix="2.25.")),
            file_set_id=FILE_SET_ID,
        )
        draft = self._folder / f".{DIRECTORY_NAME}.part"
        with draft.open("wb") as file:
            file.write(octets)
            sync(file)
        draft.replace(self._folder / DIRECTORY_NAME)
        sync_folder(self._folder)


def versions_by_study(versions: Sequence[Version]) -> dict[str, list[Version]]:
    """Files that are not shown, by the study that they say they are of.

    Of which that is not on record, they are of the study of the file that is shown.
    """
    shown = {each.sop_uid: each.study_uid for each in versions if each.is_shown}
    found: dict[str, list[Version]] = {}
    for each in versions:
        if not each.is_shown:
            study_uid = each.study_uid or shown.get(each.sop_uid, "")
            found.setdefault(study_uid, []).append(replace(each, study_uid=study_uid))
    return found


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
