"""ImageKeepingStore: another version is shown, and the index is made again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from wardlight_cloud.store.image_arrivals import InstanceHeader, NewInstance, PutOutcome, Source
from wardlight_cloud.store.postgres import imaging_rows as rows
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.imaging_put import PutInstances
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError

_SQL: Final = statements("images_keeping")
_PUT: Final = statements("images")


class ImageRestoringPart(Part):
    """See ImageKeepingStore."""

    @storage_call
    async def restore_instances(self, instances: Sequence[NewInstance]) -> list[PutOutcome]:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            return await PutInstances(connection, instances, is_audited=False).run()

    @storage_call
    async def first_uploads(self, sha256s: Collection[bytes]) -> Mapping[bytes, Source]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            found = await connection.fetch(_SQL["first_uploads"], list(sha256s))
        return {row["sha256"]: rows.source_of(row) for row in found}

    @storage_call
    async def bury_again(self, objects: Mapping[bytes, int]) -> frozenset[bytes]:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            found = await connection.fetch(_SQL["buried"], list(objects))
            hashes = [row["sha256"] for row in found]
            await connection.execute(
                _SQL["add_unused"], hashes, [objects[sha256] for sha256 in hashes]
            )
        return frozenset(hashes)

    @storage_call
    async def clear_images(self) -> None:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["clear_images"])

    @storage_call
    async def finish_restoring(self) -> None:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            for name in ("times_of_blobs", "times_of_instances", "times_of_studies"):
                await connection.execute(_SQL[name])

    @storage_call
    async def misplaced(self) -> Mapping[str, bytes]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            found = await connection.fetch(_SQL["misplaced"])
        return {row["sop_uid"]: row["sha256"] for row in found}

    @storage_call
    async def instances_as_new(self, study_uid: str) -> tuple[NewInstance, ...]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            found = await connection.fetch(_SQL["instances_as_new"], study_uid)
        return tuple(_as_new(row) for row in found)

    @storage_call
    async def show_version(
        self, shown: NewInstance, beside: Sequence[NewInstance], *, by: str | None, reason: str
    ) -> None:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            await _show(connection, shown, beside)
            if by is not None:
                await connection.execute(
                    _SQL["add_choice"], shown.header.sop_uid, shown.sha256, by, reason
                )


async def _show(connection: Connection, shown: NewInstance, beside: Sequence[NewInstance]) -> None:
    sop_uid = shown.header.sop_uid
    study_pks = await _locked(connection, shown)
    if await _shown_beside(connection, study_pks, sop_uid) != {
        each.header.sop_uid: each.sha256 for each in beside
    }:
        raise StorageError("show_version: the study changed meanwhile; try again")
    files = await connection.fetch(_SQL["files_of_studies"], study_pks)
    hashes = [row["sha256"] for row in files]
    if await connection.fetchval(_SQL["take_version"], sop_uid, shown.sha256) is None:
        raise StorageError("show_version: there is no such version")
    await connection.execute(_SQL["keep_as_version"], sop_uid)
    await connection.execute(_SQL["remove_series_of_studies"], study_pks)
    await connection.execute(_SQL["empty_studies"], study_pks)
    await connection.execute(_SQL["empty_counts"], study_pks)
    await PutInstances(connection, [shown, *beside], is_audited=False, is_settled=True).run()
    await connection.execute(_SQL["remove_empty_studies"], study_pks)
    await connection.execute(_SQL["count_refs"], [*hashes, shown.sha256])


async def _locked(connection: Connection, shown: NewInstance) -> list[int]:
    """Studies of the file that is shown and of the one that shall be."""
    before = await connection.fetchval(_SQL["study_of_uid"], shown.header.sop_uid)
    uids = sorted({before, shown.header.study_uid} - {None})
    found = await connection.fetch(_PUT["lock_studies"], uids)
    return [row["study_pk"] for row in found]


async def _shown_beside(
    connection: Connection, study_pks: Sequence[int], sop_uid: str
) -> dict[str, bytes]:
    found = await connection.fetch(_SQL["files_shown"], study_pks)
    return {row["sop_uid"]: row["sha256"] for row in found if row["sop_uid"] != sop_uid}


def _as_new(row: Any) -> NewInstance:
    header = InstanceHeader(
        study_uid=row["study_uid"], series_uid=row["series_uid"], sop_uid=row["sop_uid"],
        sop_class=row["sop_class"], transfer_syntax=row["transfer_syntax"], patient_id="",
        issuer="", columns={}, study=b"", series=b"", instance=b"",
        header=rows.header_of(row["header"]), rows=row["rows_px"], columns_px=row["columns_px"],
        frame_count=row["frame_count"], frames=rows.frames_of(row["frames"]),
        bulk=rows.bulk_of(row["bulk"]),
    )  # fmt: skip
    source = rows.source_of(row) if row["way"] is not None else Source("import")
    return NewInstance(row["sha256"], row["size"], header, source)
