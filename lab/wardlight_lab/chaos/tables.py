"""Reads the store's tables directly: the judge must not rest on the code it judges."""

from collections.abc import Iterable
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

import asyncpg

from wardlight_lab.chaos.image_verdict import Upload
from wardlight_lab.chaos.step_verdict import Event
from wardlight_lab.chaos.streams import Gap, Stored
from wardlight_lab.chaos.verdict import Named
from wardlight_shared.codes import METRICS

_NUMBERS: Final = """
select r.mantissa as number, count(*) as times
from reading r join series s using (series_id) join device d using (device_id)
where d.identity = any($1::text[]) group by r.mantissa
"""
_SAMPLES: Final = """
select extract(epoch from r.time) * 1000 as time_ms, s.metric, r.mantissa, r.scale, r.absent,
    r.error_ms
from reading r join series s using (series_id) join device d using (device_id)
where d.identity = $1 order by r.time
"""
_GAPS: Final = """
select cause, extract(epoch from started_at) * 1000 as from_ms,
    extract(epoch from ended_at) * 1000 as to_ms
from gap join gateway using (gateway_id)
where gateway = $1 and device is not distinct from $2 order by started_at
"""
_NAMED: Final = """
select epoch, lower(span) as first, upper(span) - 1 as last
from removal join gateway using (gateway_id), unnest(seqs) as span where gateway = $1
"""
_WHOLE_OUTBOXES: Final = """
select count(*) from gap join gateway using (gateway_id)
where gateway = $1 and device is null and readings = 0 and not is_removal
"""
_QUARANTINED: Final = "select count(*) from quarantine"
_INSTANCES: Final = "select sop_uid, sha256 from image_instance"
_VERSIONS: Final = "select count(*) from image_version"
_INSTANCES_OF: Final = f"{_INSTANCES} where sop_uid = any($1::text[])"
_UPLOADS: Final = "select gateway, spool, item, sha256, outcome from image_upload"
_STEP_EVENTS: Final = """
select sop_uid, number, status from procedure_step_event order by event_id
"""
_TIMEOUT_S: Final = 120.0


class Tables:
    """``async with Tables(dsn) as tables``."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._dsn, timeout=30)
        return self

    async def instances(self) -> list[tuple[str, bytes]]:
        """SOP Instance UID and SHA-256 of each row of the index."""
        rows = await self._connection.fetch(_INSTANCES, timeout=_TIMEOUT_S)
        return [(row["sop_uid"], bytes(row["sha256"])) for row in rows]

    async def instances_of(self, uids: Iterable[str]) -> list[tuple[str, bytes]]:
        """The same of these instances."""
        rows = await self._fetch(_INSTANCES_OF, list(uids))
        return [(row["sop_uid"], bytes(row["sha256"])) for row in rows]

    async def versions(self) -> int:
        """Files beside those on the index with the same UID."""
        return int(await self._connection.fetchval(_VERSIONS, timeout=_TIMEOUT_S))

    async def uploads(self) -> list[Upload]:
        """Every audit row of an item."""
        rows = await self._connection.fetch(_UPLOADS, timeout=_TIMEOUT_S)
        return [
            Upload(row["gateway"], row["spool"], row["item"], bytes(row["sha256"]), row["outcome"])
            for row in rows
        ]

    async def step_events(self) -> list[Event]:
        """Events of procedure steps in the order in which they were stored."""
        rows = await self._connection.fetch(_STEP_EVENTS, timeout=_TIMEOUT_S)
        return [Event(row["sop_uid"], row["number"], row["status"]) for row in rows]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def numbers(self, devices: Iterable[str]) -> dict[int, int]:
        """Number -> how often it is stored."""
        rows = await self._fetch(_NUMBERS, list(devices))
        return {row["number"]: row["times"] for row in rows}

    async def samples(self, device: str) -> list[Stored]:
        """The samples of an oximeter; -1 where one of its two numbers is not there."""
        pulse = METRICS["pulse_rate_oximeter"].wire
        found: dict[float, dict[int, Any]] = {}
        for row in await self._fetch(_SAMPLES, device):
            found.setdefault(float(row["time_ms"]), {})[row["metric"]] = row
        return [
            Stored(time_ms, _number(rows, METRICS["spo2"].wire), _number(rows, pulse), _error(rows))
            for time_ms, rows in found.items()
        ]

    async def values(self, device: str) -> list[tuple[float, Decimal]]:
        """(time, value) of every reading of a device that measures one thing."""
        rows = await self._fetch(_SAMPLES, device)
        return [(float(row["time_ms"]), _value(row)) for row in rows]

    async def gaps(self, gateway: str, device: str | None) -> list[Gap]:
        """The named gaps of a device; None = those that name no device."""
        rows = await self._fetch(_GAPS, gateway, device)
        return [Gap(row["cause"], float(row["from_ms"]), float(row["to_ms"])) for row in rows]

    async def named(self, gateway: str) -> Named:
        """What gaps of a gateway name as lost from its outbox."""
        spans: dict[int, list[tuple[int, int]]] = {}
        for row in await self._fetch(_NAMED, gateway):
            spans.setdefault(row["epoch"], []).append((row["first"], row["last"]))
        whole = await self._connection.fetchval(_WHOLE_OUTBOXES, gateway, timeout=_TIMEOUT_S)
        return Named(spans, int(whole))

    async def quarantined(self) -> int:
        """Readings put aside."""
        return int(await self._connection.fetchval(_QUARANTINED, timeout=_TIMEOUT_S))

    async def _fetch(self, sql: str, *values: object) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(sql, *values, timeout=_TIMEOUT_S)
        return rows


def _number(rows: dict[int, Any], metric: int) -> Decimal:
    row = rows.get(metric)
    return Decimal(-1) if row is None or row["absent"] else _value(row)


def _value(row: Any) -> Decimal:
    return Decimal(row["mantissa"]).scaleb(row["scale"])


def _error(rows: dict[int, Any]) -> float:
    """The bound of a sample's time; -1 in the table says that there is none."""
    bounds = [int(row["error_ms"]) for row in rows.values()]
    return float("inf") if min(bounds) < 0 else max(bounds)
