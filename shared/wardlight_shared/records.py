"""Record bodies: what one outbox row holds, as integer-positioned MessagePack arrays.

A body is encoded once, when the record is accepted, and travels unchanged in every envelope that
carries it. Numbers are mantissa and scale (``value = mantissa * factor * 10**scale``, exact).
Series are numbered per outbox epoch; the dictionary (SeriesKey) travels in the envelope header.
Every position is described in docs/wire-format.md.

Errors  EnvelopeError from ``decode_body`` (path to the bad position)
"""

from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from wardlight_shared.errors import EnvelopeError
from wardlight_shared.timestamps import OFFSET_LIMIT_MIN

_Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Scale = Annotated[int, Meta(ge=-128, le=127)]
_Millis = Annotated[int, Meta(ge=0, lt=1 << 53)]
_Number = Annotated[int, Meta(ge=0, lt=1 << 31)]
_Flags = Annotated[int, Meta(ge=0, lt=1 << 62)]
_Text = Annotated[str, Meta(max_length=256)]
Offset = Annotated[int, Meta(ge=-OFFSET_LIMIT_MIN, le=OFFSET_LIMIT_MIN)]
"""Of a place from UTC, in minutes."""


class Lane(IntEnum):
    """Priority of a record: alarm and live are strictly first. Wire code = value."""

    ALARM = 0
    LIVE = 1
    BACKFILL = 2
    BULK = 3


class Kind(IntEnum):
    """Type of a record body; the tag at position 0 of the body. 5 is kept for blob manifests."""

    EVENT = 1
    BLOCK = 2
    WAVEFORM = 3
    STATUS = 4
    GAP = 6


class TimeMethod(IntEnum):
    """How the measured time of an event was found. Wire code = value."""

    RECEIPT = 0  # no usable device time: the moment the gateway received it
    DEVICE_CLOCK = 1  # device time, corrected by the device clock read in the same connection
    DEVICE_ASSUMED = 2  # device time taken as the gateway's local wall clock, skew unknown
    SAMPLE_COUNT = 3  # position in a stream of known rate


class SeriesKey(msgspec.Struct, frozen=True, array_like=True):
    """Identity of one series of one outbox epoch.

    device    device identity
    metric    ``wire`` number of the code table
    unit      UCUM unit, None = the unit of the code table
    user      the device's user index
    site      body site
    raw_unit  unit of the raw numbers where a conversion was made
    factor    block mantissas are raw; the value's mantissa is raw mantissa * factor
    """

    device: _Text
    metric: _Number
    unit: _Text | None = None
    user: Annotated[int, Meta(ge=0, le=254)] | None = None
    site: _Text | None = None
    raw_unit: _Text | None = None
    factor: Annotated[int, Meta(ge=1, lt=1 << 40)] = 1


class EventBody(msgspec.Struct, frozen=True, array_like=True, tag=int(Kind.EVENT)):
    """One device event with all its metrics; the lists are parallel, one place per reading.

    age_ms       receipt minus measurement on the gateway's monotonic clock
    method       TimeMethod
    error_ms     bound of ``age_ms``; None = no honest bound
    ord          first ord of the event (see ``event_ord``)
    device_time  device wall clock as sent: seconds since 2000-01-01T00:00:00 of the device's own
                 clock; text where the device sent no full date; None = not sent
    skew_s       gateway local time minus device clock, when read before setting; None = not read
    absents      wire codes of Absent (0 = number present); None = all present
    flags        OR of Flag each; None = all 0
    raws         [mantissa, scale] before a unit conversion, or None each; None = none converted
    context      (name, value) pairs that hold for the event
    offset_min   the gateway's local offset from UTC at receipt, in minutes; None = not known
    """

    age_ms: _Int64
    method: TimeMethod
    error_ms: _Millis | None
    ord: _Number
    device_time: _Int64 | _Text | None
    skew_s: _Int64 | None
    series: list[_Number]
    mantissas: list[_Int64]
    scales: list[_Scale]
    absents: list[Annotated[int, Meta(ge=0, le=255)]] | None = None
    flags: list[_Flags] | None = None
    raws: list[tuple[_Int64, _Scale] | None] | None = None
    context: list[tuple[_Text, _Text]] | None = None
    offset_min: Offset | None = None


class Column(msgspec.Struct, frozen=True, array_like=True):
    """The samples of one series in a block.

    first    raw mantissa of sample 0 (0 where sample 0 is absent)
    width    bytes of each delta: 1, 2, 4 or 8
    deltas   count-1 signed little-endian differences to the sample before; an absent sample
             repeats the one before
    absents  (sample, wire code of Absent) for each missing number
    flags    (first sample, samples, flags) runs; None = all 0
    """

    series: _Number
    scale: _Scale
    first: _Int64
    width: Annotated[int, Meta(ge=1, le=8)]
    deltas: bytes
    absents: list[tuple[_Number, Annotated[int, Meta(ge=1, le=255)]]] | None = None
    flags: list[tuple[_Number, _Number, _Flags]] | None = None


class Group(msgspec.Struct, frozen=True, array_like=True):
    """Columns on one time axis: time of sample i = record time + start_ms + tick_ms * ticks(i).

    ticks(0) = 0, ticks(i) = ticks(i-1) + period + jitter(i); ``jitter`` holds count-1 signed
    little-endian numbers of ``width`` bytes, or nothing when every jitter is 0.
    """

    start_ms: _Int64
    tick_ms: Annotated[int, Meta(ge=1, le=60_000)]
    period: _Number
    count: Annotated[int, Meta(ge=1, le=20_000)]
    width: Annotated[int, Meta(ge=1, le=8)]
    jitter: bytes
    columns: list[Column]


class BlockBody(msgspec.Struct, frozen=True, array_like=True, tag=int(Kind.BLOCK)):
    """Up to 60 s of a stream, columnar. The record time is that of the first sample's receipt."""

    method: TimeMethod
    error_ms: _Millis | None
    groups: list[Group]


class WaveformBody(msgspec.Struct, frozen=True, array_like=True, tag=int(Kind.WAVEFORM)):
    """int16 samples, little endian: value = (origin + sample) * 10**scale in the series unit.

    ``rate_mhz`` is the sampling rate in millihertz; the record time is that of sample 0.
    """

    series: _Number
    rate_mhz: Annotated[int, Meta(ge=1, lt=1 << 40)]
    scale: _Scale
    origin: _Int64
    samples: bytes
    error_ms: _Millis | None = None


class StatusBody(msgspec.Struct, frozen=True, array_like=True, tag=int(Kind.STATUS)):
    """One status change: ``device`` None = the gateway itself. Names in docs/wire-format.md."""

    device: _Text | None
    name: _Text
    data: dict[_Text, str | int | bool | None]


class GapBody(msgspec.Struct, frozen=True, array_like=True, tag=int(Kind.GAP)):
    """A named loss: ``count`` readings or records, over [record time - age_ms, record time].

    cause    a name of docs/wire-format.md ("link-lost", "outbox-full", "thinned", "corrupt", ...)
    seqs     (first, last) of records that will not come, for the ledger; None = they had no seq.
             They are numbers of the epoch of the record's origin, if it has one
    """

    cause: _Text
    device: _Text | None
    count: _Number
    age_ms: _Millis
    seqs: list[tuple[_Int64, _Int64]] | None = None


Body = EventBody | BlockBody | WaveformBody | StatusBody | GapBody

MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no message; RecursionError: arrays nested too deep."""

_FIXARRAY: Final = 0x90  # MessagePack: array of up to 15, the count in the low 4 bits
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Body]] = msgspec.msgpack.Decoder(Body)


def encode_body(body: Body) -> bytes:
    """Encode one body."""
    return without_trailing_nils(_encoder.encode(body), body)


def without_trailing_nils(octets: bytes, message: msgspec.Struct) -> bytes:
    """Leave out the last positions of an encoded array where they are nil: readers fill them in.

    A message of at most 15 positions; a longer one is returned as it is.
    """
    first = octets[0]
    if first & 0xF0 != _FIXARRAY:
        return octets
    nils = 0
    for name in reversed(message.__struct_fields__):
        if getattr(message, name) is not None:
            break
        nils += 1
    nils = min(nils, len(message.__struct_defaults__))
    return bytes([first - nils]) + octets[1 : len(octets) - nils] if nils else octets


def decode_body(octets: bytes | msgspec.Raw) -> Body:
    """Decode one body; EnvelopeError names the position that is wrong."""
    try:
        return _decoder.decode(octets)
    except MALFORMED as error:
        raise EnvelopeError(str(error)) from error


Origin = tuple[int, int]
"""(epoch, seq) under which a record was accepted first, where its outbox file was replaced since.

seq 0: a record that tells of that epoch but was accepted after it had ended.
"""


class Record(msgspec.Struct, frozen=True):
    """One accepted outbox row.

    seq        AUTOINCREMENT number within the epoch, from 1
    event_id   16 bytes for what a device may send again, else None
    boot       number of the gateway's boot, from the outbox's boot table
    mono_ms    monotonic clock at receipt, within that boot
    wall_ms    the gateway's wall clock at receipt, trusted or not
    body       encoded body
    origin     None = accepted first under this seq and epoch
    """

    seq: int
    lane: Lane
    event_id: bytes | None
    boot: int
    mono_ms: int
    wall_ms: int
    body: bytes
    origin: Origin | None = None


def event_ord(record: int | None, event_id: bytes | None) -> int:
    """First ord of an event: 256 x the device's record number, else 23 stable bits of the id.

    Two true readings within one device minute get different ords, a reading sent twice the same
    one. The low 8 bits count repeats of one series inside the event.
    """
    if record is not None:
        return (record & 0x7FFFFF) << 8
    if event_id is not None:
        return (int.from_bytes(event_id[:3], "big") & 0x7FFFFF) << 8
    return 0
