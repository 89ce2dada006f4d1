"""Bytes on the wire, of real envelopes: out of the product's outbox, sealed as its uplink does.

Counted is the whole MQTT PUBLISH (header, topic, payload), not TLS: that adds 22 bytes a record.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from wardlight_edge.config import OutboxSettings
from wardlight_edge.devices import event_id, load_gatt
from wardlight_edge.outbox.base import Choice
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.sessions.records import event_record
from wardlight_edge.sessions.times import Receipt, timing_of
from wardlight_edge.uplink.batch import Sender, seal_records
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.gateway_clock import HOUR_MS, AgedClock
from wardlight_lab.bench.mqtt_size import publish_bytes
from wardlight_lab.bench.setting import Setting
from wardlight_lab.bench.ward import LONGEST_MINUTE_MS, MINUTE_MS, Cuff, Oximeter, Recorded, Ward
from wardlight_lab.devices import thermometer
from wardlight_lab.devices.patient import PatientVitals
from wardlight_shared import topics
from wardlight_shared.records import Lane, Record
from wardlight_shared.timestamps import Anchor, ClockQuality

NAME: Final = "wire"
GATEWAY: Final = "gw-00a7c3f19b52"
_KEY: Final = bytes(range(32))
_BATCH_BYTES: Final = 120 * 1024  # what the uplink takes for one envelope on a fast link
_BATCH_RECORDS: Final = 2000
_BACKFILL: Final = Aim(12, at_least=False)
_STREAM: Final = Aim(2, at_least=False)
_LONE: Final = Aim(200, at_least=False)


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    hours = setting.size(6, 1)
    mix = asyncio.run(_backlog(setting.within("mix"), hours, oximeters=5, cuffs=5))
    events = asyncio.run(_backlog(setting.within("events"), 12 * hours, oximeters=0, cuffs=40))
    streams = asyncio.run(_backlog(setting.within("streams"), hours, oximeters=5, cuffs=0))
    yield Row(NAME, "backfill, 5 oximeters and 5 cuffs", "B/reading", mix, aim=_BACKFILL)
    yield Row(NAME, "backfill, blood pressure events alone", "B/reading", events, aim=_BACKFILL)
    yield Row(NAME, "backfill, 1 Hz streams in 60 s blocks", "B/sample", streams, aim=_STREAM)
    lone = asyncio.run(_lone(setting.within("lone")))
    block, samples = lone["block"]
    yield Row(
        NAME, "live, one 60 s block of 2 columns", "B/sample", (block / samples,), aim=_STREAM
    )
    yield Row(NAME, "live, one temperature", "B", (lone["temperature"][0],), aim=_LONE)
    yield Row(NAME, "live, one blood pressure (4 readings)", "B", (lone["pressure"][0],), aim=_LONE)


@asynccontextmanager
async def _outbox(setting: Setting, clock: AgedClock) -> AsyncIterator[SqliteOutbox]:
    """An outbox that knows the time, as after the first NTP look of the uplink."""
    file = setting.folder / "outbox.sqlite"
    async with SqliteOutbox(file, _KEY, OutboxSettings(), clock, live_age_ms=60_000) as outbox:
        anchor = Anchor(outbox.boot, clock.mono_ms(), clock.wall_ms(), 5, ClockQuality.NTP)
        await outbox.add_anchor(anchor)
        yield outbox


async def _backlog(
    setting: Setting, hours: int, *, oximeters: int, cuffs: int
) -> tuple[float, ...]:
    """Bytes a reading of a backlog of that many hours."""
    clock = AgedClock(2 * hours)
    async with _outbox(setting, clock) as outbox:
        # As many different minutes as there are: repeats would shrink away.
        ward = Ward(outbox.series_number, oximeters, cuffs, minutes=60 * hours)
        readings = 0
        began_ms = 60 * hours * LONGEST_MINUTE_MS + HOUR_MS
        mono_ms, wall_ms = clock.mono_ms() - began_ms, clock.wall_ms() - began_ms
        for minute in range(60 * hours):
            made = ward.minute(minute, mono_ms, wall_ms)
            await outbox.append([one.record for one in made])
            readings += sum(one.readings for one in made)
        octets = 0
        while records := await outbox.take(
            Choice.BACKFILL, max_records=_BATCH_RECORDS, max_bytes=_BATCH_BYTES
        ):
            octets += _sent_bytes(outbox, clock, records, Lane.BACKFILL)
    return (octets / readings,)


async def _lone(setting: Setting) -> dict[str, tuple[int, int]]:
    """Bytes and readings of live messages with one record each."""
    clock = AgedClock(1)
    found: dict[str, tuple[int, int]] = {}
    async with _outbox(setting, clock) as outbox:
        mono_ms, wall_ms = clock.mono_ms(), clock.wall_ms()
        number = outbox.series_number
        alone: dict[str, Recorded] = {
            "block": Oximeter("ble:00A7C30C0001", number, 2).block(0, mono_ms - MINUTE_MS, wall_ms),
            "temperature": _temperature(outbox, mono_ms, wall_ms),
            "pressure": Cuff("ble:00A7C30B0001", number).measurement(mono_ms, wall_ms),
        }
        for name, (record, readings) in alone.items():
            await outbox.append([record])
            taken = await outbox.take(Choice.LIVE, max_records=1, max_bytes=_BATCH_BYTES)
            found[name] = _sent_bytes(outbox, clock, taken, Lane.LIVE), readings
    return found


def _temperature(outbox: SqliteOutbox, mono_ms: int, wall_ms: int) -> Recorded:
    at, identity = datetime.fromtimestamp(wall_ms // 1000, UTC), "ble:00A7C30D0001"
    value = PatientVitals(identity).temperature(at)
    octets = thermometer.encode(value, at, thermometer.Site.EAR)
    readings = load_gatt("health_thermometer").decode("0x2A1C", octets)
    record = event_record(
        identity,
        readings,
        timing_of(readings, Receipt(mono_ms, wall_ms, 0), None),
        lane=Lane.LIVE,
        event_id=event_id(identity, readings, octets),
        mono_ms=mono_ms,
        wall_ms=wall_ms,
        number=outbox.series_number,
    )
    return Recorded(record, len(readings))


def _sent_bytes(
    outbox: SqliteOutbox, clock: AgedClock, records: Sequence[Record], lane: Lane
) -> int:
    sender = Sender(GATEWAY, outbox.epoch, 1, clock.wall_ms(), clock.offset_min())
    sealed = seal_records(outbox, sender, records)
    return sum(publish_bytes(topics.up(GATEWAY, lane), one.payload) for one in sealed)
