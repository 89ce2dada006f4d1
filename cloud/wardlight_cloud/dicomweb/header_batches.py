"""Headers of many instances, so many at a time as fit into a bound of octets.

A CT has thousands of headers of some KiB, an enhanced image one of MiB: neither count nor size
alone would bound what is in memory.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from wardlight_cloud.store.imaging import ImageStore, InstanceRef

BATCH_BYTES: Final = 1 << 20
_MOST: Final = 500


async def header_batches(
    images: ImageStore, sop_uids: Sequence[str]
) -> AsyncIterator[Sequence[tuple[InstanceRef, bytes]]]:
    """Headers in the order of ``sop_uids``; a header over the bound is alone in its batch.

    What was removed meanwhile is left out; no batch is empty.
    """
    for start in range(0, len(sop_uids), _MOST):
        part = sop_uids[start : start + _MOST]
        sizes = await images.header_sizes(part)
        for batch in _batches(part, sizes):
            found = await images.headers_of(batch)
            if found:
                yield found


def _batches(sop_uids: Sequence[str], sizes: dict[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    held = 0
    for uid in sop_uids:
        size = sizes.get(uid, 0)
        if batch and held + size > BATCH_BYTES:
            yield batch
            batch, held = [], 0
        batch.append(uid)
        held += size
    if batch:
        yield batch
