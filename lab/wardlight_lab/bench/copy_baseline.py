"""The store's ingest beside a bare COPY of the same rows into the same table, in one database.

ours      PostgresStore.ingest of ready batches: ledger, dedupe, one transaction with COPY, latest,
          marks, commit log, NOTIFY
baseline  asyncpg's copy_records_to_table of the same rows as tuples made before, 5,000 a
          transaction, into the same table with the same key, its partitions there already
load      oximeters with two series each, 60 s blocks at 1 Hz in time order, batches of 960 rows as
          envelopes bring them, five batches a call as the collector groups them
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.base import IngestStore
from wardlight_cloud.store.batch import IngestBatch, ReadingColumns
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.postgres import migrate, open_postgres
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.rounds import in_turn_async
from wardlight_lab.bench.setting import Setting
from wardlight_shared.codes import METRICS
from wardlight_shared.records import SeriesKey

NAME: Final = "store"
CHUNK_ROWS: Final = 5000
_BLOCK_S: Final = 60
_SERIES: Final = ("spo2", "pulse_rate_oximeter")
_DEVICES_A_BATCH: Final = 8  # 960 rows
_OTHER_SERIES: Final = 1_000_000
_GROUP: Final = 5
_RATIO: Final = Aim(0.7, of_ratio=True)
_ROUNDS: Final = 5
_COLUMNS: Final = (
    "time", "commit_seq", "mantissa", "flags", "series_id", "ord", "error_ms", "gateway_id",
    "scale", "absent", "offset_min", "clock",
)  # fmt: skip

Record = tuple[Any, ...]


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    found = asyncio.run(_measure(setting))
    yield Row(
        NAME, "ingest of ready batches, 1 Hz streams", "rows/s", found["ours"], found["copy"],
        f"copy_records_to_table, {CHUNK_ROWS} rows a transaction", _RATIO,
    )  # fmt: skip


async def bare_copy(connection: Any, chunks: Sequence[Sequence[Record]]) -> float:
    """Rows a second of one transaction a chunk; the chunks are COPYed as they are."""
    started = time.perf_counter()
    for chunk in chunks:
        await connection.copy_records_to_table("reading", records=chunk, columns=_COLUMNS)
    return sum(map(len, chunks)) / (time.perf_counter() - started)


async def _measure(setting: Setting) -> dict[str, tuple[float, ...]]:
    async with EmbeddedPostgres(setting.within("store").folder) as server:
        await migrate(server.dsn)
        store = await open_postgres(server.dsn)
        connection = await asyncpg.connect(server.dsn)
        await store.prepare_partitions(days_ahead=0)
        minutes = setting.size(60, 2)
        load = _Load(devices=setting.size(40, 2))

        async def ours() -> float:
            return await _ingested(store, load.batches(minutes))

        async def copy() -> float:
            return await bare_copy(connection, load.chunks(minutes))

        try:
            await ours()  # makes devices, series and partitions
            return await in_turn_async(setting.size(_ROUNDS, 1), {"ours": ours, "copy": copy})
        finally:
            await connection.close()
            await store.close()


async def _ingested(store: IngestStore, batches: Sequence[IngestBatch]) -> float:
    started = time.perf_counter()
    rows = 0
    for start in range(0, len(batches), _GROUP):
        results = await store.ingest(batches[start : start + _GROUP])
        rows += sum(result.rows_stored for result in results)
    return rows / (time.perf_counter() - started)


class _Load:
    """A fleet's minutes, from a day ago on; each is given out once, so every row is new."""

    def __init__(self, devices: int) -> None:
        self._keys = tuple(
            SeriesKey(f"ble:{device:012X}", METRICS[metric].wire)
            for device in range(devices)
            for metric in _SERIES
        )
        self._minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=24)
        self._seq = 0
        self._random = np.random.default_rng(5)

    def batches(self, minutes: int) -> list[IngestBatch]:
        """The next minutes as batches of eight devices' blocks each."""
        times = [self._take_minute() for _ in range(minutes)]
        size = _DEVICES_A_BATCH * len(_SERIES)
        groups = [self._keys[at : at + size] for at in range(0, len(self._keys), size)]
        return [self._batch(time, keys) for time in times for keys in groups]

    def chunks(self, minutes: int) -> list[list[Record]]:
        """The next minutes as tuples; their series are not those of the store's."""
        records: list[Record] = []
        for _ in range(minutes):
            start = self._take_minute()
            times = [start + timedelta(seconds=second) for second in range(_BLOCK_S)]
            for series in range(len(self._keys)):
                fixed = (0, _OTHER_SERIES + series, 0, 250, 1, 0, 0, 60, 3)
                values = self._values(1).tolist()
                records += [
                    (time, 0, value, *fixed) for time, value in zip(times, values, strict=True)
                ]
        return [records[at : at + CHUNK_ROWS] for at in range(0, len(records), CHUNK_ROWS)]

    def _take_minute(self) -> datetime:
        minute = self._minute
        self._minute += timedelta(minutes=1)
        return minute

    def _values(self, blocks: int) -> NDArray[np.int64]:
        return self._random.integers(90, 100, blocks * _BLOCK_S)

    def _batch(self, minute: datetime, keys: tuple[SeriesKey, ...]) -> IngestBatch:
        records, rows = len(keys) // len(_SERIES), len(keys) * _BLOCK_S
        seqs = np.arange(self._seq + 1, self._seq + records + 1)
        self._seq += records
        second_us = np.arange(_BLOCK_S, dtype=np.int64) * 1_000_000
        return IngestBatch(
            gateway="gw-bench",
            epoch=1,
            offset_min=60,
            series=keys,
            seqs=seqs,
            event_ids=[None] * records,
            readings=ReadingColumns(
                series=np.repeat(np.arange(len(keys), dtype=np.int32), _BLOCK_S),
                time_us=np.tile(int(minute.timestamp()) * 1_000_000 + second_us, len(keys)),
                ord=np.zeros(rows, np.int32),
                mantissa=self._values(len(keys)),
                scale=np.zeros(rows, np.int16),
                absent=np.zeros(rows, np.int16),
                flags=np.zeros(rows, np.int64),
                clock=np.full(rows, 3, np.int16),
                error_ms=np.full(rows, 250, np.int32),
                record_of_row=np.repeat(
                    np.arange(records, dtype=np.int32), len(_SERIES) * _BLOCK_S
                ),
            ),
        )
