"""BlobAsideStore: blobs that are kept and are on no index."""

from typing import Any, Final

from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("blobs_aside")


class BlobsAsidePart(Part):
    """See BlobAsideStore."""

    @storage_call
    async def put_blob_aside(self, blob: AsideBlob) -> None:
        """See BlobAsideStore."""
        source = blob.source
        async with self._connections.acquire() as connection:
            await connection.execute(
                _SQL["put"], blob.sha256, blob.size, blob.reason, source.gateway or "",
                source.spool or 0, source.item or 0, source.calling_ae, source.called_ae,
                source.peer, source.received_at,
            )  # fmt: skip

    @storage_call
    async def blobs_aside(self, *, count: int = 100) -> tuple[AsideBlob, ...]:
        """See BlobAsideStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["found"], count)
        return tuple(map(_blob, rows))

    @storage_call
    async def remove_blob_aside(self, sha256: bytes) -> bool:
        """See BlobAsideStore."""
        async with self._connections.acquire() as connection:
            return bool(await connection.fetch(_SQL["remove"], sha256))


def _blob(row: Any) -> AsideBlob:
    source = Source(
        "gateway", row["gateway"], row["spool"], row["item"], row["calling_ae"],
        row["called_ae"], row["peer"], row["received_at"],
    )  # fmt: skip
    return AsideBlob(row["sha256"], row["size"], row["reason"], source, row["aside_at"])
