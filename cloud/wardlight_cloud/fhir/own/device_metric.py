"""DeviceMetrics: what a device measures, one for each metric and unit of it.

Source  R4 4.0.1 DeviceMetric; HL7 Point-of-Care Device IG (type by MDC, unit, source)
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.own.asked import Asked
from wardlight_cloud.fhir.own.kind import Made, Page
from wardlight_cloud.fhir.parameters import token
from wardlight_cloud.fhir.vocabulary import UCUM, Token, asked_as, code_of, is_amount, unit_text
from wardlight_cloud.security.access import Reach
from wardlight_cloud.store.device_facts import (
    DeviceFactStore,
    DeviceMetricRow,
    MetricKey,
    MetricQuery,
)
from wardlight_shared.codes import BY_WIRE, Metric

KIND: Final = "DeviceMetric"
IDENTIFIER_SYSTEM: Final = "urn:wardlight:device-metric"
_CATEGORY: Final = "http://hl7.org/fhir/metric-category"
_ID: Final = re.compile(r"([0-9a-f]{32})-(\d{1,5})-(\d)")
_NEVER: Final = UUID(int=0)
# By state of the link. A device that is lost or refuses its link may measure all the same: nothing
# is said of that, nor where no gateway has told of a link.
_OPERATIONAL: Final = {
    "ok": "on", "connected": "on", "waiting": "standby", "connecting": "standby", "removed": "off",
}  # fmt: skip

METRIC_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "category": "token", "identifier": "token",
    "parent": "reference", "source": "reference", "type": "token",
}  # fmt: skip

_BY_TYPE: Final[dict[Token, set[int]]] = {}
"""Wire numbers of metrics by the ways to ask for their type."""
for _wire, _metric in BY_WIRE.items():
    for _coding in code_of(_metric)["coding"]:
        for _way in asked_as(_coding["system"], _coding["code"]):
            _BY_TYPE.setdefault(_way, set()).add(_wire)


class DeviceMetrics:
    """See OwnKind."""

    kind = KIND
    parameters = METRIC_PARAMETERS

    def __init__(self, store: DeviceFactStore) -> None:
        self._store = store

    async def find(self, asked: Asked, reach: Reach, *, count: int, after: bytes | None) -> Page:
        """See OwnKind; in the order of devices."""
        query = _query(asked, reach, count + 1, None if after is None else _opened(after))
        rows = () if query is None else await self._store.device_metrics(query)
        page = rows[:count]
        is_more = len(rows) > count and page
        following = b"m" + msgspec.msgpack.encode(page[-1].key) if is_more else None
        return [_made(row) for row in page], following

    async def read(self, resource_id: str, reach: Reach) -> Made | None:
        """See OwnKind."""
        key = metric_key(resource_id)
        if key is None:
            return None
        rows = await self._store.device_metrics(MetricQuery(reach.patients, keys=(key,), count=1))
        return next(map(_made, rows), None)


def is_own(resource_id: str) -> bool:
    """Whether an id is, or could only be, one of a DeviceMetric that is made here."""
    return _ID.fullmatch(resource_id) is not None


def metric_key(resource_id: str) -> MetricKey | None:
    """What an id says; None for one that can be none of ours."""
    found = _ID.fullmatch(resource_id)
    metric = None if found is None else BY_WIRE.get(int(found[2]))
    if found is None or metric is None:
        return None
    units = _units(metric)
    place = int(found[3])
    return (UUID(found[1]), metric.wire, units[place]) if place < len(units) else None


def _units(metric: Metric) -> tuple[str, ...]:
    return (metric.unit, *metric.units_also)


def metric_id(device: UUID, metric: int, unit: str) -> str:
    """The id of a DeviceMetric."""
    units = _units(BY_WIRE[metric])
    return f"{device.hex}-{metric}-{units.index(unit) if unit in units else 9}"


def _query(asked: Asked, reach: Reach, count: int, after: MetricKey | None) -> MetricQuery | None:
    """None where nothing can be found."""
    named = asked.names("identifier", [IDENTIFIER_SYSTEM])
    keys = None if named is None else [key for each in named if (key := metric_key(each))]
    categories = asked.codes("category", [_CATEGORY])
    if asked.texts("parent") or (categories is not None and "measurement" not in categories):
        return None
    return MetricQuery(
        reach.patients, asked.ids("source", "Device"), _metrics(asked),
        None if keys is None else tuple(keys), *asked.interval("_lastUpdated"), after, count,
    )  # fmt: skip


def _metrics(asked: Asked) -> tuple[int, ...] | None:
    """Metrics whose type has one of the codes."""
    values = asked.values("type")
    if values is None:
        return None
    return tuple(sorted({wire for value in values for wire in _BY_TYPE.get(token(value), ())}))


def _opened(cursor: bytes) -> MetricKey:
    try:
        place: MetricKey = msgspec.msgpack.decode(cursor.removeprefix(b"m"), type=MetricKey)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError("not a cursor of this search") from error
    return place


def _made(row: DeviceMetricRow) -> Made:
    return Made(device_metric(row), str(row.commit_seq), row.updated_at)


def device_metric(row: DeviceMetricRow) -> dict[str, Any]:
    """One DeviceMetric."""
    own_id = metric_id(*row.key)
    unit = {"system": UCUM, "code": row.unit, "display": unit_text(row.unit)}
    resource: dict[str, Any] = {
        "resourceType": KIND,
        "id": own_id,
        "meta": {"versionId": str(row.commit_seq), "lastUpdated": instant(row.updated_at)},
        "identifier": [{"system": IDENTIFIER_SYSTEM, "value": own_id}],
        "type": code_of(BY_WIRE[row.metric], moles=is_amount(row.unit)),
        "unit": {"coding": [unit], "text": unit_text(row.unit)},
        "source": {"reference": f"Device/{row.device_id}"},
        "operationalStatus": _OPERATIONAL.get(row.link or ""),
        "category": "measurement",
        "calibration": _calibration(row.calibration_due, datetime.now(UTC).date()),
    }
    return {name: value for name, value in resource.items() if value not in (None, [])}


def _calibration(due: date | None, today: date) -> list[Mapping[str, str]]:
    """The day is the gateway's; nobody tells when it was calibrated."""
    if due is None:
        return []
    return [{"state": "calibration-required" if due < today else "calibrated"}]
