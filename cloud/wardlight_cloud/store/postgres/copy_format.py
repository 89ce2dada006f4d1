"""Rows as the binary COPY format: one structured array, one buffer, no Python object per row.

Out     signature 11 | flags u32 | extension length u32, then per row: field count i16, and for each
        field its length i32 and its value, big endian; at the end i16 -1
        timestamptz is i64 microseconds since 2000-01-01T00:00:00Z
Source  PostgreSQL 18 documentation, COPY, "Binary Format"; timestamp.h (int64, 2000-01-01 epoch)
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.postgres.rows import Rows

COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("time", ">i8"),
    ("commit_seq", ">i8"),
    ("mantissa", ">i8"),
    ("flags", ">i8"),
    ("series_id", ">i4"),
    ("ord", ">i4"),
    ("error_ms", ">i4"),
    ("gateway_id", ">i4"),
    ("scale", ">i2"),
    ("absent", ">i2"),
    ("offset_min", ">i2"),
    ("clock", ">i2"),
)
"""Columns of the table ``reading`` in its order, with their wire type."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_EPOCH_2000_US: Final = 946_684_800_000_000
_COUNT: Final = "fields"
_ROW: Final = np.dtype(
    [(_COUNT, ">i2")]
    + [pair for name, wire in COLUMNS for pair in ((f"{name}_length", ">i4"), (name, wire))]
)


def table_of(rows: Rows) -> NDArray[np.void]:
    """The rows as the server will read them, without their commit sequence."""
    table = np.empty(len(rows), _ROW)
    table[_COUNT] = len(COLUMNS)
    for name, wire in COLUMNS:
        table[f"{name}_length"] = np.dtype(wire).itemsize
    table["time"] = rows.time_us - _EPOCH_2000_US
    for name, _ in COLUMNS[2:]:
        table[name] = getattr(rows, name)
    return table


def encode(table: NDArray[np.void], commit_seq: int) -> bytes:
    """One COPY stream, all rows with the same commit sequence."""
    table["commit_seq"] = commit_seq
    return b"".join((_HEADER, table.tobytes(), _TRAILER))
