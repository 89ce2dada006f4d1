"""Two ways for rows into the table ``reading``: COPY, and arrays where the server has no COPY.

A load is made before the commit lock, so that under it the rows only have to be sent. Both ways
raise the driver's UniqueViolationError when a key is taken; nothing is stored then.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

from wardlight_cloud.store.postgres import copy_format
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.rows import Rows
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("ingest")


class Load(Protocol):
    """Rows ready to be sent."""

    async def send(self, connection: Connection, commit_seq: int) -> None:
        """Store the rows with this commit sequence."""


BulkLoad = Callable[[Rows], Load]


class Copy:
    """Binary COPY of one buffer."""

    def __init__(self, rows: Rows) -> None:
        self._table = copy_format.table_of(rows)

    async def send(self, connection: Connection, commit_seq: int) -> None:
        """See Load."""
        await connection.copy_to_table(
            "reading",
            columns=[name for name, _ in copy_format.COLUMNS],
            source=_whole(copy_format.encode(self._table, commit_seq)),
            format="binary",
        )


async def _whole(stream: bytes) -> AsyncIterator[bytes]:
    """One buffer as the stream that the driver wants; the socket takes it in pieces."""
    yield stream


class Unnest:
    """One INSERT of arrays: half as fast, and understood everywhere."""

    def __init__(self, rows: Rows) -> None:
        names = ["time_us", *(name for name, _ in copy_format.COLUMNS[2:])]
        self._columns: list[list[Any]] = [getattr(rows, name).tolist() for name in names]

    async def send(self, connection: Connection, commit_seq: int) -> None:
        """See Load."""
        await connection.execute(_SQL["insert_readings"], commit_seq, *self._columns)
