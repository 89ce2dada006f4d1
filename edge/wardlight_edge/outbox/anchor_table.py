"""Clock anchors as they stand in the outbox file, sealed."""

from collections.abc import Sequence
from typing import Final

import msgspec

from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_shared.timestamps import Anchor

_ANCHOR: Final = b"anchor"


def read_anchors(database: Database, cipher: Cipher) -> list[Anchor]:
    """Anchors that can be read; a lost one costs precision, not data."""
    found: list[Anchor] = []
    for number, sealed in database.rows("SELECT number, sealed FROM anchor ORDER BY number"):
        try:
            content = cipher.open_entry(_ANCHOR, number, sealed)
            found.append(msgspec.msgpack.decode(content, type=Anchor))
        except (DamagedRow, msgspec.MsgspecError, TypeError):
            continue
    return found


def write_anchors(database: Database, cipher: Cipher, anchors: Sequence[Anchor]) -> None:
    """Insert anchors into the empty table (inside a transaction)."""
    rows = [
        (number, anchor.boot, cipher.seal_entry(_ANCHOR, number, msgspec.msgpack.encode(anchor)))
        for number, anchor in enumerate(anchors, 1)
    ]
    database.insert_many("INSERT INTO anchor VALUES (?, ?, ?)", rows)
