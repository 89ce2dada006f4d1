"""What a ward's devices would have recorded: records for an outbox, made by the product's own code.

Oximeters stream saturation and pulse once a second (0x2A5F) and are folded into blocks of 60 s;
cuffs send a blood pressure with pulse and device time (0x2A35), one record each. The bytes come
from the lab's encoders, values from PatientVitals: they scatter from second to second more than
the averages of a real oximeter do, so they shrink less than real ones.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, NamedTuple

import msgspec

from wardlight_edge.devices import event_id, load_gatt
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.records import Numbering, block_record, event_record
from wardlight_edge.sessions.times import Receipt, timing_of
from wardlight_edge.streams import Block, Folder
from wardlight_lab.devices import blood_pressure_cuff
from wardlight_lab.devices.encoding import sfloat, u8
from wardlight_lab.devices.patient import PatientVitals
from wardlight_shared.profile import StreamSection
from wardlight_shared.records import Lane

MINUTE_S: Final = 60
MINUTE_MS: Final = 60_000
LONGEST_MINUTE_MS: Final = 61_500
"""A block ends with the sample after a minute, so a stream's blocks are a little longer."""
_JITTER_MS: Final = 15.0  # a notification waits for its connection event, some 30 ms apart
_MORNING: Final = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)


class Recorded(NamedTuple):
    """A record and how many readings are in it."""

    record: NewRecord
    readings: int


class Oximeter:
    """One oximeter's stream as blocks; ``minutes`` of different ones, then again the first.

    A block holds no absolute time, so the same one may stand at another time. Take so many minutes
    that none comes twice in one envelope: repeats would shrink away.
    """

    def __init__(self, identity: str, number: Numbering, minutes: int) -> None:
        folder = Folder(identity, StreamSection(), number)
        blocks: list[Block] = []
        for mono_ms, frame in _seconds(identity, minutes):
            readings = load_gatt("pulse_oximeter").decode("0x2A5F", frame)
            blocks += folder.add(readings, mono_ms, mono_ms)
        self._blocks = blocks + folder.flush()
        self._span_ms = minutes * MINUTE_MS

    def block(self, place: int, mono_ms: int, wall_ms: int) -> Recorded:
        """Block ``place`` of a stream that began at ``mono_ms``; each takes about a minute."""
        again, at = divmod(place, len(self._blocks))
        block = self._blocks[at]
        since_ms = again * self._span_ms + block.mono_ms
        moved = msgspec.structs.replace(
            block, mono_ms=mono_ms + since_ms, wall_ms=wall_ms + since_ms
        )
        return Recorded(block_record(moved, Lane.LIVE), block.samples)


class Cuff:
    """One blood pressure cuff; every measurement is an event with four readings."""

    def __init__(self, identity: str, number: Numbering) -> None:
        self._identity = identity
        self._number = number
        self._vitals = PatientVitals(identity)

    def measurement(self, mono_ms: int, wall_ms: int) -> Recorded:
        """One measurement, received at that moment."""
        at = datetime.fromtimestamp(wall_ms // 1000, UTC)
        octets = blood_pressure_cuff.encode(self._vitals.blood_pressure(at), at, user=1)
        readings = load_gatt("blood_pressure").decode("0x2A35", octets)
        record = event_record(
            self._identity,
            readings,
            timing_of(readings, Receipt(mono_ms, wall_ms, 0), None),
            lane=Lane.LIVE,
            event_id=event_id(self._identity, readings, octets),
            mono_ms=mono_ms,
            wall_ms=wall_ms,
            number=self._number,
        )
        return Recorded(record, len(readings))


class Ward:
    """Oximeters that run all the time and cuffs that measure every ``cuff_every_min`` minutes."""

    def __init__(
        self,
        number: Numbering,
        oximeters: int,
        cuffs: int,
        *,
        cuff_every_min: int = 30,
        minutes: int = 240,
        label: str = "",
    ) -> None:
        self._oximeters = [
            Oximeter(f"ble:{label}0C{place:06X}", number, minutes) for place in range(oximeters)
        ]
        self._cuffs = [Cuff(f"ble:{label}BC{place:06X}", number) for place in range(cuffs)]
        self._cuff_every_min = cuff_every_min

    def minute(self, place: int, mono_ms: int, wall_ms: int) -> list[Recorded]:
        """What minute ``place`` has brought to a gateway that began to listen at ``mono_ms``."""
        found = [oximeter.block(place, mono_ms, wall_ms) for oximeter in self._oximeters]
        if place % self._cuff_every_min == 0:
            since_ms = place * MINUTE_MS
            found += [
                cuff.measurement(mono_ms + since_ms, wall_ms + since_ms) for cuff in self._cuffs
            ]
        return found


def _seconds(identity: str, minutes: int) -> Iterator[tuple[int, bytes]]:
    """Receipt in ms and bytes of each notification."""
    values = _values(identity, minutes * MINUTE_S)
    chance = random.Random(identity)
    moments = [1000 * place for place in range(len(values))]
    late = [min(400.0, abs(chance.gauss(0, _JITTER_MS))) for _ in values]
    for moment, wait, value in zip(moments, late, values, strict=True):
        yield moment + round(wait), value


@cache
def _values(identity: str, seconds: int) -> tuple[bytes, ...]:
    vitals = PatientVitals(identity)
    instants = [_MORNING + timedelta(seconds=place) for place in range(seconds)]
    return tuple(u8(0) + sfloat(vitals.spo2(at)) + sfloat(vitals.pulse(at)) for at in instants)
