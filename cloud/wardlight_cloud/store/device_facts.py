"""What devices measure, and what was wrong with them: a part of the store's Protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from wardlight_cloud.store.resources import Patients

MetricKey = tuple[UUID, int, str]
"""(device, wire number of the metric, unit)."""


@dataclass(frozen=True, slots=True)
class DeviceMetricRow:
    """A metric that a device has measured; the rest is of the device, as in DeviceRow."""

    device_id: UUID
    metric: int
    unit: str
    gateway: str | None
    link: str | None
    calibration_due: date | None
    commit_seq: int
    updated_at: datetime

    @property
    def key(self) -> MetricKey:
        """What it is known by."""
        return self.device_id, self.metric, self.unit


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """In the order of keys. None = not asked for; ``reach``: devices that these have now.

    ``changed_from``, ``changed_to``: the device has changed in [from, to).
    """

    reach: Patients
    devices: tuple[UUID, ...] | None = None
    metrics: tuple[int, ...] | None = None
    keys: tuple[MetricKey, ...] | None = None
    changed_from: datetime | None = None
    changed_to: datetime | None = None
    after: MetricKey | None = None
    count: int = 50


Trouble = Literal["alarm", "link", "gap"]
"""alarm: the device said so with its readings; link: it cannot be reached or used; gap: data of it
are lost."""


@dataclass(frozen=True, slots=True)
class TroubleRow:
    """One event. ``ended_at`` None = not yet. ``key`` is opaque and stable.

    detail  of a link its state, of a gap its cause, of an alarm nothing
    metric  of an alarm: wire number of what was measured
    count   readings with the alarm, or lost; 0 = not known
    parts   ids of Observations with the alarm, the first of them
    changed_at  when it was told here, was over, or became the patient's, whichever came last
    """

    key: str
    trouble: Trouble
    patient_id: UUID
    device_id: UUID
    started_at: datetime
    ended_at: datetime | None
    detail: str
    metric: int | None
    count: int
    parts: tuple[str, ...]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TroubleQuery:
    """The latest first, of events that touch [start, end). None = not asked for.

    Alarms are looked for in the last ALARM_DAYS before ``end`` where patients or devices are named,
    else in the last day; further back where changes since then are asked for.
    ``changed_from``, ``changed_to``: of changed_at, [from, to). ``is_over``: whether it has ended.
    """

    reach: Patients
    devices: tuple[UUID, ...] | None = None
    troubles: tuple[Trouble, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None
    keys: tuple[str, ...] | None = None
    changed_from: datetime | None = None
    changed_to: datetime | None = None
    is_over: bool | None = None
    after: tuple[datetime, str] | None = None
    count: int = 50


class DeviceFactStore(Protocol):
    """Every coroutine raises StorageError."""

    async def device_metrics(self, query: MetricQuery) -> tuple[DeviceMetricRow, ...]:
        """Up to ``count`` metrics."""

    async def metrics_of(self, devices: Sequence[UUID]) -> tuple[tuple[UUID, int], ...]:
        """Devices and the metrics that each has measured."""

    async def troubles(self, query: TroubleQuery) -> tuple[TroubleRow, ...]:
        """Up to ``count`` events."""
