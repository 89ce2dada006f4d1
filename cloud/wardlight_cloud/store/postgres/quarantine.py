"""QuarantineStore: what waits, its release as ordinary rows, its discarding.

Lines change under the commit lock alone, in ingest as here. The order of locks is that of ingest:
the event id first, then the commit lock.
"""

import time as clock
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from wardlight_cloud.store.postgres.bulk_load import BulkLoad, Copy, Unnest
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.partitions import Partitions
from wardlight_cloud.store.postgres.ready_rows import ReadyRows
from wardlight_cloud.store.postgres.release import (
    Line,
    detail_columns,
    placed,
    released_lines,
    rows_of,
    stored_values,
)
from wardlight_cloud.store.postgres.rows import DAY_US
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.quarantine import QuarantineDecision, QuarantinedReading, Verdict
from wardlight_shared.errors import StorageError
from wardlight_shared.timestamps import FUTURE_LIMIT_MS

_SQL: Final = statements("quarantine")
_INGEST: Final = statements("ingest")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TEXT: Final = 500
_FINAL: Final = frozenset({"released", "superseded"})


class QuarantinePart(Part):
    """See QuarantineStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows_load: BulkLoad = Copy if database.engine.server.takes_copy else Unnest
        self._days = Partitions(database.connections)

    @storage_call
    async def quarantined(
        self, *, count: int = 100, is_open: bool = True, gateway: str | None = None
    ) -> tuple[QuarantinedReading, ...]:
        """See QuarantineStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["quarantined"], count, is_open, gateway)
        return tuple(QuarantinedReading(**dict(row)) for row in rows)

    @storage_call
    async def quarantine_decisions(self, quarantine_id: int) -> tuple[QuarantineDecision, ...]:
        """See QuarantineStore."""
        async with self._connections.acquire() as connection:
            return await _decisions(connection, [quarantine_id])

    @storage_call
    async def discard_quarantined(
        self, quarantine_id: int, *, decided_by: str, reason: str
    ) -> tuple[QuarantineDecision, ...]:
        """See QuarantineStore."""
        decision = _Decision("discarded", decided_by, reason)
        async with self._connections.transaction() as connection:
            await connection.fetch(_SQL["lock_commits"])
            found = await _record(connection, quarantine_id, "discard_quarantined")
            await decision.write(connection, [row for row in found if row["is_open"]])
            return await _decisions(connection, _ids(found))

    @storage_call
    async def release_quarantined(
        self, quarantine_id: int, *, decided_by: str, reason: str, time: datetime | None = None
    ) -> tuple[QuarantineDecision, ...]:
        """See QuarantineStore."""
        decision = _Decision("released", decided_by, reason)
        time_us = None if time is None else (time - _EPOCH) // timedelta(microseconds=1)
        async with self._connections.acquire() as connection:
            found = await _record(connection, quarantine_id, "release_quarantined")
        await self._make_days(released_lines(found, time_us))
        async with self._connections.transaction() as connection:
            is_new = await _remember_events(connection, found)
            await connection.fetch(_SQL["lock_commits"])
            # Read again: only now nobody else can decide.
            found = await _record(connection, quarantine_id, "release_quarantined")
            decided = await _decisions(connection, _ids(found))
            if not any(each.verdict in _FINAL for each in decided):
                if is_new:
                    await self._release(connection, decision, found, time_us)
                else:
                    await _supersede(connection, found)
            return await _decisions(connection, _ids(found))

    async def _make_days(self, lines: Sequence[Line]) -> None:
        now_us = clock.time_ns() // 1000
        await self._days.prepare_days({line.time_us // DAY_US for line in lines}, now_us)

    async def _release(
        self,
        connection: Connection,
        decision: "_Decision",
        found: Sequence[Any],
        time_us: int | None,
    ) -> None:
        lines = released_lines(found, time_us)
        _check(found, lines)
        times = [line.time_us for line in lines]
        stored = await connection.fetch(
            _SQL["rows_at"], [line.series_id for line in lines], times, min(times), max(times)
        )
        lines = placed(lines, stored_values(stored))
        commit = await connection.fetchrow(_INGEST["take_commit"])
        assert commit is not None  # noqa: S101 - the function returns one row or raises
        new = [line for line in lines if not line.is_stored]
        ready = ReadyRows(rows_of(new), self._rows_load)
        await ready.store(connection, commit["commit_seq"], commit["stored_at"])
        details = detail_columns(new)
        if details is not None:
            await connection.execute(_INGEST["add_details"], *details)
        await decision.write(connection, lines, commit["commit_seq"])


class _Decision:
    """One person's decision, before it is written."""

    def __init__(self, verdict: Verdict, decided_by: str, reason: str) -> None:
        self._verdict = verdict
        self._decided_by = _text(decided_by, "decided_by")
        self._reason = _text(reason, "reason")

    async def write(
        self, connection: Connection, rows: Sequence[Any], commit_seq: int | None = None
    ) -> None:
        """Close these lines: rows of the table, or Lines where they are stored."""
        if not rows:
            return
        lines = [row for row in rows if isinstance(row, Line)]
        ids = [line.quarantine_id for line in lines] or _ids(rows)
        await connection.execute(_SQL["close_lines"], ids)
        await connection.execute(
            _SQL["add_decisions"], self._verdict, self._decided_by, self._reason, commit_seq, ids,
            [line.time_us for line in lines] or [None] * len(ids),
            [line.ord for line in lines] or [None] * len(ids),
        )  # fmt: skip


async def _record(connection: Connection, quarantine_id: int, action: str) -> Sequence[Any]:
    found: Sequence[Any] = await connection.fetch(_SQL["record_lines"], quarantine_id)
    if not found:
        raise StorageError(f"{action}: there is no reading {quarantine_id} in quarantine")
    return found


async def _remember_events(connection: Connection, found: Sequence[Any]) -> bool:
    """False when another copy of the record's event has been stored."""
    event_id = found[0]["event_id"]
    if event_id is None:
        return True
    return await connection.fetchval(_SQL["remember_event"], event_id) is not None


async def _supersede(connection: Connection, found: Sequence[Any]) -> None:
    other = _Decision("superseded", "collector", "another copy of the event came")
    await other.write(connection, found)


async def _decisions(connection: Connection, ids: Sequence[int]) -> tuple[QuarantineDecision, ...]:
    rows = await connection.fetch(_SQL["decisions"], ids)
    return tuple(QuarantineDecision(**dict(row)) for row in rows)


def _check(found: Sequence[Any], lines: Sequence[Line]) -> None:
    """StorageError unless every line may be a row of the table of readings."""
    if any(row["body"] is not None for row in found):
        raise StorageError(
            "release_quarantined: a block of a waveform cannot be released, for another one stands "
            "at its place; it is kept in quarantine"
        )
    latest_us = clock.time_ns() // 1000 + FUTURE_LIMIT_MS * 1000
    if any(line.time_us > latest_us for line in lines):
        raise StorageError(
            "release_quarantined: measured in the future; give the true time, or wait for it"
        )
    if any(line.time_us < 0 for line in lines):
        raise StorageError("release_quarantined: measured before 1970; give the true time")


def _ids(rows: Sequence[Any]) -> list[int]:
    return [row["quarantine_id"] for row in rows]


def _text(text: str, name: str) -> str:
    """Who or why; ValueError for none, or for a text that no line holds."""
    stripped = " ".join(text.split())
    if not stripped or len(stripped) > _LONGEST_TEXT or not stripped.isprintable():
        raise ValueError(f"{name}: expected 1 to {_LONGEST_TEXT} printable characters")
    return stripped
