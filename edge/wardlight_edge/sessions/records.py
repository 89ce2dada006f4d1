"""Readings, blocks, status changes and losses as records for the outbox. Pure.

``number`` is the outbox's ``series_number``: the dictionary entry is committed with the record.

Errors  DecodeError: a number that no record can hold
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.times import Timing
from wardlight_edge.streams import Block, Waveform
from wardlight_edge.streams.axis import series_key
from wardlight_edge.streams.columns import fits
from wardlight_edge.streams.waveforms import ERROR_MS
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import parts_from_decimal
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Reading
from wardlight_shared.records import (
    EventBody,
    GapBody,
    Lane,
    SeriesKey,
    StatusBody,
    WaveformBody,
    encode_body,
    event_ord,
)

_SCALES = range(-128, 128)
Numbering = Callable[[SeriesKey], int]
_T = TypeVar("_T")
Data = Mapping[str, str | int | bool | None]


def check_numbers(readings: Sequence[Reading]) -> None:
    """Raise DecodeError for a number beyond 63 bits or 128 decimal places."""
    for reading in readings:
        for value in (reading.value, reading.raw_value):
            if isinstance(value, Decimal):
                mantissa, scale = parts_from_decimal(value)
                if not fits(mantissa) or scale not in _SCALES:
                    raise DecodeError(f"{reading.metric}: more digits than a record holds")


def event_record(
    device: str,
    readings: Sequence[Reading],
    timing: Timing,
    *,
    lane: Lane,
    event_id: bytes | None,
    mono_ms: int,
    wall_ms: int,
    number: Numbering,
) -> NewRecord:
    """One device event with all its readings (at least one)."""
    values = [_parts(reading.value) for reading in readings]
    record = next((each.record for each in readings if each.record is not None), None)
    body = EventBody(
        age_ms=timing.age_ms,
        method=timing.method,
        error_ms=timing.error_ms,
        ord=event_ord(record, event_id),
        device_time=timing.device_time,
        skew_s=timing.skew_s,
        series=[number(series_key(device, reading)) for reading in readings],
        mantissas=[mantissa for mantissa, _ in values],
        scales=[scale for _, scale in values],
        absents=_unless_all([_absent_code(reading.value) for reading in readings], 0),
        flags=_unless_all([reading.flags | timing.flags for reading in readings], 0),
        raws=_unless_all([_raw(reading.raw_value) for reading in readings], None),
        context=_context(readings),
        offset_min=timing.offset_min,
    )
    return NewRecord(lane, event_id, mono_ms, wall_ms, encode_body(body))


def block_record(block: Block, lane: Lane) -> NewRecord:
    """One block of a stream; a stream has no event id, for no device sends it twice."""
    return NewRecord(lane, None, block.mono_ms, block.wall_ms, encode_body(block.body))


def waveform_record(device: str, waveform: Waveform, number: Numbering) -> NewRecord:
    """One block of waveform samples, on the lane that may be thinned."""
    run = waveform.run
    row = METRICS[run.metric]
    key = SeriesKey(device, row.wire, None if run.unit == row.unit else run.unit)
    body = WaveformBody(number(key), run.rate_mhz, run.scale, run.origin, run.samples, ERROR_MS)
    return NewRecord(Lane.BULK, None, waveform.mono_ms, waveform.wall_ms, encode_body(body))


def status_record(
    device: str | None, name: str, data: Data, mono_ms: int, wall_ms: int
) -> NewRecord:
    """One status change; names are listed in docs/wire-format.md."""
    body = StatusBody(device, name, dict(data))
    return NewRecord(Lane.LIVE, None, mono_ms, wall_ms, encode_body(body))


def gap_record(
    device: str, cause: str, count: int, since_ms: int, mono_ms: int, wall_ms: int
) -> NewRecord:
    """One named loss from ``since_ms`` to ``mono_ms``; count 0 = how many is not known."""
    body = GapBody(cause, device, count, max(mono_ms - since_ms, 0))
    return NewRecord(Lane.LIVE, None, mono_ms, wall_ms, encode_body(body))


def _parts(value: Decimal | Absent) -> tuple[int, int]:
    return (0, 0) if isinstance(value, Absent) else parts_from_decimal(value)


def _raw(value: Decimal | None) -> tuple[int, int] | None:
    return None if value is None else parts_from_decimal(value)


def _absent_code(value: Decimal | Absent) -> int:
    return CODE_BY_ABSENT[value] if isinstance(value, Absent) else 0


def _unless_all(values: list[_T], default: _T) -> list[_T] | None:
    return None if all(value == default for value in values) else values


def _context(readings: Sequence[Reading]) -> list[tuple[str, str]] | None:
    pairs = dict.fromkeys(pair for reading in readings for pair in reading.context)
    return list(pairs) or None
