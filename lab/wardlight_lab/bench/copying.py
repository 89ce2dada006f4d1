"""The baseline of ingest: the rows that a gateway's readings became, again by a bare COPY.

The same rows, in the order in which ours were inserted, into the same table with the same key, by
asyncpg's copy_records_to_table in transactions of 5,000 rows; only the series numbers are others,
so that the keys are new. No broker, no envelope, no ledger, no deduplication.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from wardlight_lab.bench.setting import Unsound

_BATCH: Final = 5000
_OTHER_SERIES: Final = 1_000_000

# Table and columns as in store/sql/migrations/0004_readings.native.sql.
_ROWS_OF: Final = """
SELECT r.* FROM reading AS r INNER JOIN gateway AS g USING (gateway_id)
WHERE g.gateway = $1 ORDER BY r.commit_seq, r.series_id, r.time, r.ord
"""
_COUNT_OF: Final = """
SELECT count(*) FROM reading AS r INNER JOIN gateway AS g USING (gateway_id)
WHERE g.gateway = $1 AND r.series_id < $2
"""


async def count(dsn: str, gateway: str) -> int:
    """How many rows a gateway's readings became, not counting copied ones."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(_COUNT_OF, gateway, _OTHER_SERIES))
    finally:
        await connection.close()


async def copied_rate(dsn: str, gateway: str, turn: int) -> float:
    """Rows a second of a bare COPY of a gateway's rows; ``turn`` keeps the keys apart."""
    connection = await asyncpg.connect(dsn)
    try:
        durable = await connection.fetchval("SELECT current_setting('synchronous_commit')")
        if durable != "on":
            raise Unsound(f"synchronous_commit is {durable}: the baseline must be durable")
        found = await connection.fetch(_ROWS_OF, gateway)
        rows = _with_other_series(found, (turn + 1) * _OTHER_SERIES)
        started = time.perf_counter()
        for at in range(0, len(rows), _BATCH):
            await connection.copy_records_to_table("reading", records=rows[at : at + _BATCH])
        return len(rows) / (time.perf_counter() - started)
    finally:
        await connection.close()


def _with_other_series(found: Sequence[asyncpg.Record], added: int) -> list[tuple[Any, ...]]:
    if not found:
        raise Unsound("the gateway has no rows")
    place = list(found[0].keys()).index("series_id")
    return [(*row[:place], row[place] + added, *row[place + 1 :]) for row in map(tuple, found)]
