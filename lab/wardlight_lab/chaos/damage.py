"""Damaging an outbox while its gateway is down: what a worn card or a torn write leaves behind.

truncated  the file ends somewhere in its middle
pages      some pages hold noise
garbage    the whole file is noise
Before that the log is copied into the file, as the gateway itself does now and then: so the damage
meets rows, and what is not damaged is not hidden in a log beside it.
"""

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096
KINDS: Final = ("truncated", "pages", "garbage")
_MOST_PAGES: Final = 6


def damage(outbox: Path, random_numbers: random.Random) -> str:
    """Damage the file; returns how."""
    with (
        contextlib.closing(sqlite3.connect(outbox)) as database,
        contextlib.suppress(sqlite3.DatabaseError),  # it was damaged before
    ):
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    # Closing took the log away, which a gateway that was killed leaves behind.
    outbox.with_name(outbox.name + "-wal").touch(0o600)
    kind = random_numbers.choice(KINDS)
    size = outbox.stat().st_size
    with outbox.open("r+b") as file:
        match kind:
            case "truncated":
                file.truncate(random_numbers.randrange(size))
            case "pages":
                pages = size // PAGE_BYTES
                for page in random_numbers.sample(range(pages), min(pages, _MOST_PAGES)):
                    file.seek(page * PAGE_BYTES)
                    file.write(random_numbers.randbytes(PAGE_BYTES))
            case "garbage":
                file.write(random_numbers.randbytes(size))
    return kind
