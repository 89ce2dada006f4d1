"""What becomes of an item whose file, or whose row, is damaged."""

import logging
import time
from pathlib import Path

from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.database import Database

_log = logging.getLogger(__name__)


def mark_damaged(database: Database, folder: Path, item: int, name: bytes, reason: str) -> None:
    """An item that waited has no good file any more, or its row does not open.

    The quota counts what is left of it.

    name  its file's: a database that was made again has the number for another item
    """
    left = disk_bytes(folder / name.hex())
    marked = database.write(
        lambda changes: changes.execute(
            "UPDATE item SET state = ?, reason = ?, settled_ms = ?, disk_bytes = ?"
            " WHERE item = ? AND name = ? AND state IN (?, ?)",
            (
                *(ItemState.DAMAGED, reason, time.time_ns() // 1_000_000, left),
                *(item, name, ItemState.WAITING, ItemState.ASKED),
            ),
        )
    )
    if marked:
        _log.error("an item of the spool is damaged", extra={"item": item, "reason": reason})


def disk_bytes(file: Path) -> int:
    """Octets of a file, 0 where there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
