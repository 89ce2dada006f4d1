"""How fast the outbox accepts durably, against SQLite itself on the same disk.

ours      SqliteOutbox.append, resolved after COMMIT: sealed rows, seqs, directory, group commit
baseline  sqlite3 in the same journal mode (WAL, synchronous=FULL): the same bodies, one table, one
          transaction for as many rows, no encryption, no lanes, no second thread
"""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wardlight_edge.clock import SystemClock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox.base import Choice, NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.rounds import in_turn
from wardlight_lab.bench.setting import Setting
from wardlight_lab.bench.ward import Cuff, Oximeter

NAME: Final = "append"
GROUP: Final = 100
TAKEN: Final = 500
_KEY: Final = bytes(range(32))
_RATIO: Final = Aim(0.6, of_ratio=True)
_ROUNDS: Final = 5
_SETTINGS: Final = OutboxSettings()


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    rounds = setting.size(_ROUNDS, 1)
    rows, single_rows = setting.size(40_000, 400), setting.size(6_400, 128)
    files = (setting.folder / f"{number}.sqlite" for number in itertools.count())
    blocks, events = _blocks(setting), _events(single_rows)

    found = in_turn(
        rounds,
        {
            "ours": lambda: _ours(next(files), blocks, rows, writers=1),
            "raw": lambda: _raw(next(files), blocks, rows, GROUP),
            "four": lambda: _ours(next(files), blocks, rows, writers=4),
        },
    )
    yield Row(
        NAME, f"durable, groups of {GROUP}, one writer", "rows/s", found["ours"], found["raw"],
        f"sqlite3 WAL FULL, {GROUP} rows a transaction", _RATIO,
        {"body_bytes": len(blocks[0].body), "rows": rows},
    )  # fmt: skip
    yield Row(
        NAME, f"durable, groups of {GROUP}, four writers", "rows/s", found["four"], found["raw"],
        f"sqlite3 WAL FULL, {GROUP} rows a transaction",
    )  # fmt: skip
    found = in_turn(
        rounds,
        {
            "8": lambda: _singles(next(files), events, writers=8),
            "64": lambda: _singles(next(files), events, writers=64),
            "raw": lambda: _raw(next(files), events, max(64, single_rows // 8), 1),
        },
    )
    for writers in ("8", "64"):
        yield Row(
            NAME, f"durable, {writers} writers of one event each", "rows/s", found[writers],
            found["raw"], "sqlite3 WAL FULL, one row a transaction",
        )  # fmt: skip
    found = in_turn(
        rounds,
        {
            "ours": lambda: asyncio.run(_drain(next(files), blocks, rows)),
            "raw": lambda: _raw_drain(next(files), blocks, rows),
        },
    )
    yield Row(
        NAME, f"take and settle, {TAKEN} rows each", "rows/s", found["ours"], found["raw"],
        f"sqlite3: select and delete {TAKEN} rows a transaction",
    )  # fmt: skip


def _blocks(setting: Setting) -> list[NewRecord]:
    clock = SystemClock()
    oximeter = Oximeter("ble:0000000C0001", lambda _: 1, setting.size(200, 10))
    mono_ms, wall_ms = clock.mono_ms(), clock.wall_ms()
    return [oximeter.block(place, mono_ms, wall_ms).record for place in range(GROUP)]


def _events(count: int) -> list[NewRecord]:
    clock = SystemClock()
    cuff = Cuff("ble:0000000B0001", lambda _: 1)
    mono_ms, wall_ms = clock.mono_ms(), clock.wall_ms()
    return [cuff.measurement(mono_ms, wall_ms - 60_000 * place).record for place in range(count)]


def _outbox(file: Path) -> SqliteOutbox:
    return SqliteOutbox(file, _KEY, _SETTINGS, SystemClock(), live_age_ms=60_000)


def _ours(file: Path, records: Sequence[NewRecord], rows: int, *, writers: int) -> float:
    """Rows a second; each writer awaits one group before it gives the next."""

    async def run() -> float:
        groups = iter(range(rows // GROUP))

        async def write(outbox: SqliteOutbox) -> None:
            for _ in groups:
                await outbox.append(records)

        async with _outbox(file) as outbox:
            started = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(writers):
                    tasks.create_task(write(outbox))
            return rows / (time.perf_counter() - started)

    return asyncio.run(run())


def _singles(file: Path, events: Sequence[NewRecord], *, writers: int) -> float:
    """Rows a second of writers that each await one event before they give the next."""

    async def run() -> float:
        waiting = iter(events)

        async def write(outbox: SqliteOutbox) -> None:
            for event in waiting:
                await outbox.append([event])

        async with _outbox(file) as outbox:
            started = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(writers):
                    tasks.create_task(write(outbox))
            return len(events) / (time.perf_counter() - started)

    return asyncio.run(run())


async def _drain(file: Path, records: Sequence[NewRecord], rows: int) -> float:
    async with _outbox(file) as outbox:
        for _ in range(rows // GROUP):
            await outbox.append(records)
        started = time.perf_counter()
        gone = 0
        while taken := await _take(outbox):
            gone += await outbox.settle(upto=taken)
        return gone / (time.perf_counter() - started)


async def _take(outbox: SqliteOutbox) -> int:
    """Lease some rows; the last seq, 0 when none is left."""
    records = await outbox.take(Choice.LIVE, max_records=TAKEN, max_bytes=1 << 20)
    return records[-1].seq if records else 0


def _open_raw(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)")
    return connection


def _fill_raw(
    connection: sqlite3.Connection, records: Sequence[NewRecord], rows: int, group: int
) -> None:
    bodies = [(record.body,) for record in records[:group]]
    for _ in range(rows // group):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO record (body) VALUES (?)", bodies)
        connection.execute("COMMIT")


def _raw(file: Path, records: Sequence[NewRecord], rows: int, group: int) -> float:
    connection = _open_raw(file)
    started = time.perf_counter()
    _fill_raw(connection, records, rows, group)
    took_s = time.perf_counter() - started
    connection.close()
    return rows / took_s


def _raw_drain(file: Path, records: Sequence[NewRecord], rows: int) -> float:
    connection = _open_raw(file)
    _fill_raw(connection, records, rows, GROUP)
    started = time.perf_counter()
    gone = 0
    while found := connection.execute(
        "SELECT seq, body FROM record ORDER BY seq LIMIT ?", (TAKEN,)
    ).fetchall():
        connection.execute("BEGIN")
        deleted = connection.execute(
            "DELETE FROM record WHERE seq BETWEEN ? AND ?", (found[0][0], found[-1][0])
        )
        gone += deleted.rowcount
        connection.execute("COMMIT")
    took_s = time.perf_counter() - started
    connection.close()
    return gone / took_s
