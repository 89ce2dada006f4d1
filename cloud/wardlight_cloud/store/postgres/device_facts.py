"""DeviceFactStore: what devices measure, and what was wrong with them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.device_facts import (
    DeviceMetricRow,
    MetricQuery,
    TroubleQuery,
    TroubleRow,
)
from wardlight_cloud.store.postgres.device_rows import day_of
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.postgres.spans import BEGINNING, TICK
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.model import NOT_CLINICAL, Flag

_SQL: Final = statements("device_facts")
_NOTHING: Final = (None, None, None)
# States of a link that are as they should be, and the end of a device's time at its gateway.
_SOUND: Final = ("ok", "connected", "connecting", "waiting", "ended", "removed")
_PAUSE: Final = timedelta(minutes=5)
_ALARM_DAYS: Final = timedelta(days=31)
_A_DAY: Final = timedelta(days=1)
_ALARM_KEY: Final = re.compile(r"alarm-[0-9a-f]{1,8}-([0-9a-f]{1,15})")
_LAST_US: Final = 253_402_300_799_000_000


class DeviceFactsPart(Part):
    """See DeviceFactStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._observation_ids = ObservationIds(database.observation_key)

    @storage_call
    async def device_metrics(self, query: MetricQuery) -> tuple[DeviceMetricRow, ...]:
        """See DeviceFactStore."""
        if () in (query.reach, query.devices, query.metrics):
            return ()
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["device_metrics"], query.reach, query.devices, query.metrics,
                *(query.key or _NOTHING), *(query.after or _NOTHING), query.count,
            )  # fmt: skip
        return tuple(
            DeviceMetricRow(**{**row, "calibration_due": day_of(row["calibration_due"])})
            for row in rows
        )

    @storage_call
    async def metrics_of(self, devices: Sequence[UUID]) -> tuple[tuple[UUID, int], ...]:
        """See DeviceFactStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["metrics_of"], list(devices))
        return tuple((row["device_id"], row["metric"]) for row in rows)

    @storage_call
    async def troubles(self, query: TroubleQuery) -> tuple[TroubleRow, ...]:
        """See DeviceFactStore."""
        if () in (query.reach, query.devices, query.troubles):
            return ()
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["troubles"], query.reach, query.devices, query.troubles, query.start,
                query.end, query.key, *(query.after or (None, None)), _SOUND,
                int(Flag.DEVICE_ALARM), _PAUSE, _alarms_from(query), int(NOT_CLINICAL),
                query.count,
            )  # fmt: skip
        return tuple(self._trouble(row) for row in rows)

    def _trouble(self, row: Any) -> TroubleRow:
        times = [(each - BEGINNING) // TICK for each in row["times"] or ()]
        keys = [
            (row["anchor"], time, ord_) for time, ord_ in zip(times, row["ords"] or (), strict=True)
        ]
        return TroubleRow(
            row["key"], row["trouble"], row["patient_id"], row["device_id"], row["started_at"],
            row["ended_at"], row["detail"], row["metric"], row["count"],
            tuple(self._observation_ids.ids(keys)) if keys else (),
        )  # fmt: skip


def _alarms_from(query: TroubleQuery) -> datetime:
    """From when on to look for alarms."""
    found = None if query.key is None else _ALARM_KEY.fullmatch(query.key)
    if found is not None and int(found[1], 16) < _LAST_US:
        return BEGINNING + int(found[1], 16) * TICK
    is_narrow = query.reach is not None or query.devices is not None
    first = (query.end or datetime.now(UTC)) - (_ALARM_DAYS if is_narrow else _A_DAY)
    return first if query.start is None else max(first, query.start - _A_DAY)
