"""ImageStore: instances are put on the index, searched and read."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from wardlight_cloud.store.image_arrivals import (
    KnownFile,
    NewInstance,
    PutOutcome,
    Receipt,
    Source,
)
from wardlight_cloud.store.imaging import (
    Identified,
    ImageQuery,
    ImageRow,
    InstanceRef,
    IsThere,
    Lacking,
)
from wardlight_cloud.store.postgres import imaging_rows as rows
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.imaging_put import PutInstances
from wardlight_cloud.store.postgres.imaging_search import Search, count, search, search_newest
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError

_SQL: Final = statements("images")
_SEARCH: Final = statements("images_search")
_TRIES: Final = 4


class ImagesPart(Part):
    """See ImageStore."""

    @storage_call
    async def put_instances(
        self, instances: Sequence[NewInstance], *, is_there: IsThere | None = None
    ) -> list[PutOutcome]:
        """See ImageStore."""
        if not instances:
            return []
        for _ in range(_TRIES):
            try:
                async with self._connections.transaction() as connection:
                    return await PutInstances(connection, instances, is_there=is_there).run()
            except asyncpg.UniqueViolationError:
                continue  # another writer was first; what it wrote is known to the next run
        raise StorageError("put_instances: other writers were first too often; try again")

    @storage_call
    async def file_known(self, sha256: bytes) -> KnownFile | None:
        """See ImageStore."""
        found = await self._image_rows("file_of_hash", sha256)
        return KnownFile(found[0]["sop_uid"], found[0]["sop_class"]) if found else None

    @storage_call
    async def note_upload(self, sha256: bytes, source: Source) -> bool:
        """See ImageStore."""
        async with self._connections.acquire() as connection:
            sop_uid = await connection.fetchval(_SQL["file_of_hash"], sha256)
            if sop_uid is None:
                return False
            columns = rows.files([(sop_uid, sha256, source)])
            await connection.execute(_SQL["add_uploads"], *columns, [str(PutOutcome.KNOWN)])
        return True

    @storage_call
    async def identified(self, values: Sequence[str]) -> tuple[Identified, ...]:
        """See ImageStore."""
        return tuple(
            Identified(
                row["value"],
                row["system"],
                UUID(int=row["patient_id"].int),
                row["birth_date"],
                row["family"],
                row["given"],
                row["gender"],
            )
            for row in await self._image_rows("identified", list(values))
        )

    @storage_call
    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        """See ImageStore."""
        newest = search_newest(query)
        found = [] if newest is None else await self._searched(newest)
        if newest is None or len(found) < query.limit:
            found = await self._searched(search(query))
        return tuple(_image_row(row) for row in found)

    @storage_call
    async def image_count(self, query: ImageQuery) -> int:
        """See ImageStore."""
        return int((await self._searched(count(query)))[0]["count"])

    @storage_call
    async def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[InstanceRef, ...]:
        """See ImageStore."""
        found = await self._image_rows("instances", study_uid, series_uid, sop_uid)
        return tuple(rows.ref_of(row) for row in found)

    @storage_call
    async def lacking(self, study_uids: Sequence[str]) -> Mapping[tuple[str, str], Lacking]:
        """See ImageStore."""
        return {
            (row["study_uid"], row["series_uid"]): Lacking(row["is_cold"], row["doubted"])
            for row in await self._image_rows("lacking", list(study_uids))
        }

    @storage_call
    async def instance(self, sop_uid: str) -> InstanceRef | None:
        """See ImageStore."""
        found = await self._image_rows("instance", sop_uid)
        return rows.ref_of(found[0]) if found else None

    @storage_call
    async def headers(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""
        found = await self._image_rows("headers", study_uid, series_uid, sop_uid)
        return tuple((rows.ref_of(row), rows.header_of(row["header"])) for row in found)

    @storage_call
    async def header_sizes(self, sop_uids: Sequence[str]) -> dict[str, int]:
        """See ImageStore."""
        found = await self._image_rows("header_sizes", list(sop_uids))
        return {row["sop_uid"]: rows.header_size(row["beginning"]) for row in found}

    @storage_call
    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""
        found = await self._image_rows("headers_of", list(sop_uids))
        return tuple((rows.ref_of(row), rows.header_of(row["header"])) for row in found)

    @storage_call
    async def frames(
        self, sop_uid: str, sha256: bytes
    ) -> tuple[tuple[tuple[int, int], ...], ...] | None:
        """See ImageStore."""
        found = await self._image_rows("frames", sop_uid, sha256)
        return rows.frames_of(found[0]["frames"]) if found else None

    @storage_call
    async def bulk(self, sop_uid: str, sha256: bytes) -> Mapping[str, tuple[int, int]] | None:
        """See ImageStore."""
        found = await self._image_rows("bulk", sop_uid, sha256)
        return rows.bulk_of(found[0]["bulk"]) if found else None

    @storage_call
    async def patient_of_study(self, study_uid: str) -> UUID | None:
        """See ImageStore."""
        found = await self._image_rows("patient_of_study", study_uid)
        return _uuid(found[0]["patient_id"]) if found else None

    @storage_call
    async def receipts(self, sop_uids: Sequence[str]) -> Mapping[str, Receipt]:
        """See ImageStore."""
        found = await self._image_rows("receipts", list(sop_uids))
        return {row["sop_uid"]: Receipt(row["sha256"], row["size"]) for row in found}

    async def _image_rows(self, name: str, *arguments: Any) -> list[Any]:
        async with self._connections.acquire() as connection:
            return await connection.fetch(_SQL[name], *arguments)

    async def _searched(self, wanted: Search) -> list[Any]:
        if not wanted.is_planned:
            async with self._connections.acquire() as connection:
                return await connection.fetch(wanted.text, *wanted.arguments)
        async with self._connections.transaction() as connection:
            await connection.execute(_SEARCH["plan_for_search"])
            return await connection.fetch(wanted.text, *wanted.arguments)


def _image_row(row: Any) -> ImageRow:
    fields = {
        "study_uid": row["study_uid"], "study": row["study"],
        "study_series": row["series_count"], "study_instances": row["instance_count"],
        "modalities": tuple(row["modalities"]), "sop_classes": tuple(row["sop_classes"]),
        "patient": _uuid(row["patient_id"]), "updated_at": row["updated_at"],
        "commit_seq": row["commit_seq"],
    }  # fmt: skip
    if "series" in row:
        fields |= {
            "series_uid": row["series_uid"], "series": row["series"],
            "series_instances": row["series_instances"],
        }  # fmt: skip
    if "instance" in row:
        fields |= {"ref": rows.ref_of(row), "instance": row["instance"]}
    return ImageRow(**fields)


def _uuid(found: Any) -> UUID | None:
    """The driver's own kind of UUID as the standard library's."""
    return None if found is None else UUID(int=found.int)
