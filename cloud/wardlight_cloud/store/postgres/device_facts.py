"""DeviceFactStore: what devices measure, and what was wrong with them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.device_facts import (
    DeviceMetricRow,
    MetricKey,
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
        if () in (query.reach, query.devices, query.metrics, query.keys):
            return ()
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["device_metrics"], query.reach, query.devices, query.metrics,
                *_columns(query.keys), *(query.after or _NOTHING), query.changed_from,
                query.changed_to, query.count,
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
        if () in (query.reach, query.devices, query.troubles, query.keys):
            return ()
        first, last = _alarms_between(query)
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["troubles"], query.reach, query.devices, query.troubles, query.start,
                query.end, query.keys, *(query.after or (None, None)), _SOUND,
                int(Flag.DEVICE_ALARM), _PAUSE, first, last, int(NOT_CLINICAL),
                query.changed_from, query.changed_to, query.is_over, query.count,
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
            tuple(self._observation_ids.ids(keys)) if keys else (), row["changed_at"],
        )  # fmt: skip


def _columns(keys: Sequence[MetricKey] | None) -> tuple[Any, Any, Any]:
    if keys is None:
        return _NOTHING
    return [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]


def _alarms_between(query: TroubleQuery) -> tuple[datetime, datetime | None]:
    """From when until when to look for alarms.

    A day further at both ends: an alarm that lasts beyond what is asked for is shown whole.
    """
    found = [_ALARM_KEY.fullmatch(key) for key in query.keys or ()]
    starts = [us for each in found if each is not None and (us := int(each[1], 16)) < _LAST_US]
    if starts:
        return BEGINNING + min(starts) * TICK, None
    ends = [each for each in (query.end, query.changed_to) if each is not None]
    end = min(ends, default=None)
    last = end or datetime.now(UTC)
    is_narrow = query.reach is not None or query.devices is not None
    first = _before(last, _ALARM_DAYS if is_narrow else _A_DAY)
    if query.changed_from is not None:
        since = _before(query.changed_from, _A_DAY)
        first = max(_before(last, _ALARM_DAYS), min(first, since))
    if query.start is not None:
        first = max(first, _before(query.start, _A_DAY))
    return first, None if end is None else _before(end, -_A_DAY)


def _before(moment: datetime, length: timedelta) -> datetime:
    """So long before a moment, within the calendar."""
    try:
        return moment - length
    except OverflowError:
        return BEGINNING if length > timedelta() else moment
