"""How much is in a spool, for status and health."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.database import Database
from wardlight_shared.set_aside import word_of

CLOUD_ASIDE_COUNTED: Final = (
    "SELECT reason, count(*) FROM item INDEXED BY item_cloud_aside"
    " WHERE state = 'delivered' AND reason IS NOT NULL GROUP BY reason"
)


class SpoolCounts(msgspec.Struct, frozen=True):
    """Items by state. ``disk_bytes``: of all their files; ``oldest_ms``: UTC of what waits longest.

    refused      the collector will not take them; damaged: their files are gone or spoilt
    delivered    with those that the collector is asked about again, without the next
    cloud_aside  the collector keeps them, and nobody sees them: how many by the word for why
    """

    waiting: int = 0
    waiting_bytes: int = 0
    oldest_ms: int | None = None
    refused: int = 0
    damaged: int = 0
    delivered: int = 0
    cloud_aside: Mapping[str, int] = {}
    disk_bytes: int = 0


def spool_counts(database: Database) -> SpoolCounts:
    """All counts now; reads a few rows, however many items there are."""
    rows = database.rows("SELECT state, items, octets FROM tally WHERE items > 0")
    found = {state: (int(items), int(octets)) for state, items, octets in rows}
    oldest = database.value(
        "SELECT received_ms FROM item WHERE state = ? ORDER BY item LIMIT 1", (ItemState.WAITING,)
    )
    cloud_aside: Counter[str] = Counter()
    for reason, items in database.rows(CLOUD_ASIDE_COUNTED):
        cloud_aside[word_of(reason)] += int(items)
    settled = sum(found.get(each, (0, 0))[0] for each in (ItemState.DELIVERED, ItemState.ASKED))
    waiting, waiting_bytes = found.get(ItemState.WAITING, (0, 0))
    return SpoolCounts(
        waiting=waiting,
        waiting_bytes=waiting_bytes,
        oldest_ms=oldest,
        refused=found.get(ItemState.REFUSED, (0, 0))[0],
        damaged=found.get(ItemState.DAMAGED, (0, 0))[0],
        delivered=settled - cloud_aside.total(),
        cloud_aside=dict(cloud_aside),
        disk_bytes=int(database.value("SELECT disk_bytes FROM usage WHERE sender = x''") or 0),
    )
