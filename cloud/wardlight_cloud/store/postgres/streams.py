"""StreamStore: blocks of waveforms, averages out of rollups."""

from typing import Any, Final

from wardlight_cloud.store.observed import OBSERVED
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import instant_of
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.sealed import ObservationIds, ObservationKey
from wardlight_cloud.store.postgres.spans import BEGINNING, TICK
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.streams import Average, StreamQuery, WaveformBlock, Width
from wardlight_shared.codes import BY_WIRE, METRICS
from wardlight_shared.model import NO_NUMBER, NOT_CLINICAL

_SQL: Final = statements("streams")
_BY: Final[dict[Width, str]] = {"1m": "averages_by_minute", "1h": "averages_by_hour"}
_PARTS_MOST: Final = 120
_SYSTOLIC, _DIASTOLIC = METRICS["systolic_bp"].wire, METRICS["diastolic_bp"].wire
_NOT_AVERAGED: Final = int(NOT_CLINICAL | NO_NUMBER)
# A pressure is averaged as one, by its first side; what is no side of it has none of its own.
_AVERAGED: Final = sorted(
    wire for wire in OBSERVED if BY_WIRE[wire].component_of is None or wire == _SYSTOLIC
)


class StreamsPart(Part):
    """See StreamStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._keys = ObservationIds(database.observation_key)

    @storage_call
    async def waveforms(self, query: StreamQuery) -> tuple[WaveformBlock, ...]:
        """See StreamStore."""
        wanted = self._wanted(query)
        if wanted is None:
            return ()
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["waveforms"], *wanted, query.count, query.changed_from, query.changed_to
            )  # fmt: skip
        keys = self._keys.ids([_key(row) for row in rows])
        return tuple(
            WaveformBlock(
                key, row["patient_id"], row["device_id"], row["gateway"], row["metric"],
                row["unit"], row["time"], row["ended_at"], row["rate_mhz"], row["origin"],
                row["scale"], row["samples"], row["error_ms"], row["commit_seq"], row["stored_at"],
            )
            for key, row in zip(keys, rows, strict=True)
        )  # fmt: skip

    @storage_call
    async def averages(self, query: StreamQuery, width: Width) -> tuple[Average, ...]:
        """See StreamStore."""
        wanted = self._wanted(query)
        if wanted is None:
            return ()
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL[_BY[width]], *wanted, query.count, _AVERAGED, _NOT_AVERAGED, _PARTS_MOST,
                _DIASTOLIC,
            )  # fmt: skip
        keys = self._keys.ids([_key(row) for row in rows])
        return tuple(
            Average(
                key, row["patient_id"], row["device_id"], row["metric"], row["unit"], row["time"],
                row["ended_at"], row["readings"], row["absent"], row["total"] / row["readings"],
                row["minimum"], row["maximum"], self._parts(row), row["other_mean"],
            )
            for key, row in zip(keys, rows, strict=True)
        )  # fmt: skip

    def _wanted(self, query: StreamQuery) -> tuple[Any, ...] | None:
        """Arguments of ``wanted``; None where nothing can be found."""
        place = self._place(query.after)
        found = [self._place(key) for key in query.keys or ()]
        ones = [each for each in found if each is not None]
        if query.after is not None and place is None:
            raise ValueError("not a cursor of this search")
        if () in (query.reach, query.devices, query.metrics):
            return None
        if query.keys is not None and not ones:
            return None
        at: tuple[list[int] | None, list[Any] | None] = (None, None)
        if ones:
            at = [series for series, _, _ in ones], [instant_of(time) for _, time, _ in ones]
        behind = (None, None) if place is None else (instant_of(place[1]), place[0])
        return query.reach, query.devices, query.metrics, query.start, query.end, *at, *behind

    def _place(self, key: str | None) -> ObservationKey | None:
        return None if key is None else self._keys.key(key)

    def _parts(self, row: Any) -> tuple[str, ...]:
        times = [(each - BEGINNING) // TICK for each in row["times"] or ()]
        if row["ords"] is None:
            return tuple(self._keys.ids([(row["series_id"], time, 0) for time in times]))
        pairs = zip(times, row["ords"], strict=True)
        return tuple(self._keys.ids([(row["anchor"], time, ord_) for time, ord_ in pairs]))


def _key(row: Any) -> ObservationKey:
    return row["series_id"], (row["time"] - BEGINNING) // TICK, 0
