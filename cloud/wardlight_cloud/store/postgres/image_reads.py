"""ImageReadStore: who looked at images."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from wardlight_cloud.store.image_reads import PERIOD, ImageRead, Reader
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("image_reads")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ImageReadsPart(Part):
    """See ImageReadStore."""

    @storage_call
    async def put_reads(self, reads: Sequence[ImageRead]) -> None:
        """See ImageReadStore."""
        merged: dict[tuple[object, ...], ImageRead] = {}
        for read in reads:
            key = (read.reader, read.study_uid, read.face, _period(read.first_at))
            merged[key] = _joined(merged[key], read) if key in merged else read
        rows = [
            (
                _period(read.first_at), read.first_at, read.last_at, read.requests,
                read.study_uid, read.face, read.reader.kind, read.reader.name,
            )
            for read in merged.values()
        ]  # fmt: skip
        if rows:
            async with self._connections.acquire() as connection:
                await connection.execute(_SQL["put_reads"], *map(list, zip(*rows, strict=True)))

    @storage_call
    async def image_reads(
        self, *, study_uid: str | None = None, patient: UUID | None = None,
        reader: str | None = None, since: datetime | None = None, count: int = 100,
    ) -> tuple[ImageRead, ...]:  # fmt: skip
        """See ImageReadStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["reads"], study_uid, reader, since, patient, count)
        return tuple(
            ImageRead(
                Reader(row["reader_kind"], row["reader"]), row["study_uid"], row["face"],
                row["first_at"], row["last_at"], row["requests"],
            )
            for row in rows
        )  # fmt: skip


def _period(moment: datetime) -> datetime:
    return moment - (moment - _EPOCH) % PERIOD


def _joined(one: ImageRead, other: ImageRead) -> ImageRead:
    first, last = min(one.first_at, other.first_at), max(one.last_at, other.last_at)
    requests = one.requests + other.requests
    return ImageRead(one.reader, one.study_uid, one.face, first, last, requests)
