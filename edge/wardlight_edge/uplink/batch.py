"""Records to one envelope: resolves times from the anchors, names the clocks, keeps to the size.

Pure. The bodies travel as they were accepted; only the header is made here.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from wardlight_edge.outbox.base import Outbox
from wardlight_edge.outbox.used_series import used_series
from wardlight_shared.envelope import MAX_BYTES, Clock, SendHeader, seal
from wardlight_shared.records import Record
from wardlight_shared.timestamps import Anchor, ClockQuality, resolve

_STEPS: Final = (1, 2, 5)


class Sealed(msgspec.Struct, frozen=True):
    """One message and what it holds."""

    payload: bytes
    seqs: list[int]


class Sender(msgspec.Struct, frozen=True):
    """What all envelopes of a moment share."""

    gateway: str
    batch: int
    sent_at_ms: int
    offset_min: int


def seal_records(outbox: Outbox, sender: Sender, records: Sequence[Record]) -> list[Sealed]:
    """Seal records into as few messages as fit MAX_BYTES.

    A record that does not fit alone is returned as a message with an empty payload.
    """
    message = _seal(outbox, sender, records)
    if len(message) <= MAX_BYTES:
        return [Sealed(message, [record.seq for record in records])]
    if len(records) == 1:
        return [Sealed(b"", [records[0].seq])]
    half = len(records) // 2
    return [
        *seal_records(outbox, sender, records[:half]),
        *seal_records(outbox, sender, records[half:]),
    ]


def _seal(outbox: Outbox, sender: Sender, records: Sequence[Record]) -> bytes:
    ordered = sorted(records, key=lambda record: record.seq)
    anchors = outbox.anchors()
    clocks: dict[tuple[int, int | None], int] = {}
    times: list[int] = []
    places: list[int] = []
    for record in ordered:
        utc_ms, clock = _time_of(record, anchors)
        times.append(utc_ms)
        places.append(clocks.setdefault(clock, len(clocks)))
    header = SendHeader(
        gateway=sender.gateway,
        epoch=outbox.epoch,
        batch=sender.batch,
        sent_at_ms=sender.sent_at_ms,
        offset_min=sender.offset_min,
        clocks=[Clock(quality, error) for quality, error in clocks],
    )
    numbers = sorted({number for record in ordered for number in used_series(record.body)})
    return seal(header, outbox.series(numbers), ordered, times, places if len(clocks) > 1 else None)


def _time_of(record: Record, anchors: Sequence[Anchor]) -> tuple[int, tuple[int, int | None]]:
    found = resolve(record.boot, record.mono_ms, anchors)
    if found is None:
        # No anchor was ever had in that boot: the wall clock of then, without a bound.
        return record.wall_ms, (int(ClockQuality.ESTIMATED), None)
    error = None if found.error_ms is None else rounded_up(found.error_ms)
    return found.utc_ms, (int(found.quality), error)


def rounded_up(error_ms: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50 ...: few different bounds, none of them too small."""
    power = 1
    while True:
        for step in _STEPS:
            if error_ms <= step * power:
                return step * power
        power *= 10
