"""Records to one envelope: resolves times from the anchors, names the clocks, keeps to the size.

Pure. The bodies travel as they were accepted; only the header is made here.
"""

from collections.abc import Sequence

import msgspec

from wardlight_edge.outbox.base import Outbox
from wardlight_edge.outbox.used_series import used_series
from wardlight_edge.uplink.times import times_of
from wardlight_shared.envelope import MAX_BYTES, SendHeader, seal
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import Record


class Sealed(msgspec.Struct, frozen=True):
    """One message and what it holds; with a ``fault`` it is one record that cannot be sent."""

    payload: bytes
    seqs: list[int]
    fault: str | None = None


class Sender(msgspec.Struct, frozen=True):
    """What all envelopes of a moment share; ``epoch``: of the file that the records came from."""

    gateway: str
    epoch: int
    batch: int
    sent_at_ms: int
    offset_min: int


def seal_records(outbox: Outbox, sender: Sender, records: Sequence[Record]) -> list[Sealed]:
    """Seal records into as few messages as fit MAX_BYTES.

    A record that does not fit alone, or is no record at all, is returned with its fault.
    """
    try:
        message = _seal(outbox, sender, records)
    except EnvelopeError:
        return _without_unreadable(outbox, sender, records)
    if len(message) <= MAX_BYTES:
        return [Sealed(message, [record.seq for record in records])]
    if len(records) == 1:
        return [Sealed(b"", [records[0].seq], "too-large")]
    half = len(records) // 2
    return [
        *seal_records(outbox, sender, records[:half]),
        *seal_records(outbox, sender, records[half:]),
    ]


def _without_unreadable(outbox: Outbox, sender: Sender, records: Sequence[Record]) -> list[Sealed]:
    """A body that is none must not stop the records around it."""
    readable = [record for record in records if _is_readable(record)]
    broken = [record.seq for record in records if not _is_readable(record)]
    sealed = seal_records(outbox, sender, readable) if readable else []
    return [*(Sealed(b"", [seq], "unreadable") for seq in broken), *sealed]


def _is_readable(record: Record) -> bool:
    try:
        used_series(record.body)
    except EnvelopeError:
        return False
    return True


def _seal(outbox: Outbox, sender: Sender, records: Sequence[Record]) -> bytes:
    ordered = sorted(records, key=lambda record: record.seq)
    times = times_of(ordered, outbox.anchors())
    header = SendHeader(
        gateway=sender.gateway,
        epoch=sender.epoch,
        batch=sender.batch,
        sent_at_ms=sender.sent_at_ms,
        offset_min=sender.offset_min,
        clocks=times.clocks,
    )
    numbers = sorted({number for record in ordered for number in used_series(record.body)})
    series = outbox.series(numbers)
    return seal(header, series, ordered, times.utc_ms, times.clock_of)
