"""The envelope: one MQTT message of records, MessagePack arrays, zstd when that shrinks it.

In/Out  bytes of at most MAX_BYTES on the wire and MAX_OPEN_BYTES when decompressed
Errors  EnvelopeError (path to the bad position); VersionError for a newer version
Source  docs/wire-format.md describes every position
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import zstandard
from msgspec import NODEFAULT, Meta

from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.records import (
    MALFORMED,
    Body,
    Offset,
    Origin,
    Record,
    SeriesKey,
)

VERSION: Final = 2
"""The newest version this program reads. A message carries the oldest that reads it rightly."""

VERSION_WITH_ORIGINS: Final = 2
"""Of a message with origins: a reader that passes over them would store records twice."""

_PLAIN_VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024
MAX_OPEN_BYTES: Final = 4 * 1024 * 1024
MAX_RECORDS: Final = 10_000
MAX_ORIGIN_EPOCHS: Final = 64  # in one message; an outbox is not replaced that often
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878 3.1.1; never the first bytes of an array
_WORTH_COMPRESSING: Final = 128
_SMALL: Final = 1024

MAX_SEQ: Final = (1 << 63) - 2
"""The largest number of a record: a ledger of half-open ranges of int64 holds no larger one."""

_LARGEST_INT64: Final = (1 << 63) - 1

_Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_UInt63 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_GatewayId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{2,31}\Z")]
_EventId = Annotated[bytes, Meta(min_length=16, max_length=16)]
_Origins = list[tuple[_UInt63, Annotated[int, Meta(ge=0, le=MAX_SEQ)]] | None] | None


class Clock(msgspec.Struct, frozen=True, array_like=True):
    """How the gateway knew the time: ``quality`` a ClockQuality, bound in ms (None = no bound)."""

    quality: Annotated[int, Meta(ge=0, le=15)]
    error_ms: _UInt63 | None


class SeriesEntry(msgspec.Struct, frozen=True, array_like=True):
    """One dictionary entry: number within the epoch and key."""

    number: Annotated[int, Meta(ge=0, lt=1 << 31)]
    key: SeriesKey


class _Header(msgspec.Struct, frozen=True, array_like=True):
    version: int
    gateway: _GatewayId
    epoch: _UInt63
    batch: _UInt63
    sent_at_ms: _UInt63
    offset_min: Offset
    clocks: Annotated[list[Clock], Meta(min_length=1, max_length=256)]
    series: list[SeriesEntry]
    seqs: Annotated[list[_UInt63], Meta(min_length=1, max_length=MAX_RECORDS)]
    times_ms: list[_Int64]
    clock_of: list[Annotated[int, Meta(ge=0, le=255)]] | None
    event_ids: list[_EventId | None] | None


class Envelope(_Header, frozen=True, array_like=True):
    """One opened envelope.

    version     1, or 2 with origins
    gateway     gateway id; must equal the topic's
    epoch       random 63-bit number of the outbox file
    batch       number of this sending, for logs only
    sent_at_ms  gateway's UTC in ms at sending
    offset_min  the gateway's local offset from UTC in minutes
    clocks      how times were known; ``clock_of`` gives each record's index (None = all 0)
    series      dictionary entries for every series used in ``bodies``
    seqs        ascending, first absolute, then differences (1 or more)
    times_ms    receipt UTC in ms, resolved at sending: first absolute, then differences
    event_ids   16 bytes or None each; None = none has one
    bodies      one per seq
    origins     (epoch, seq) or None each; None = none has one
    """

    bodies: list[Body]
    origins: _Origins = None


class _RawEnvelope(_Header, frozen=True, array_like=True):
    bodies: list[msgspec.Raw]
    origins: _Origins = None


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Envelope)
_raw_decoder: Final = msgspec.msgpack.Decoder(_RawEnvelope)
_body_decoder: Final[msgspec.msgpack.Decoder[Body]] = msgspec.msgpack.Decoder(Body)
_SERIES: Final = 7
_KEY_DEFAULTS: Final = (NODEFAULT, NODEFAULT, *SeriesKey.__struct_defaults__)
_version_decoder: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])


class SendHeader(msgspec.Struct, frozen=True):
    """What the sender knows beside the records."""

    gateway: str
    epoch: int
    batch: int
    sent_at_ms: int
    offset_min: int
    clocks: list[Clock]


def seal(
    header: SendHeader,
    series: Sequence[SeriesEntry],
    records: Sequence[Record],
    times_ms: Sequence[int],
    clock_of: Sequence[int] | None = None,
) -> bytes:
    """Encode ``records`` (one or more) with their resolved times into one message.

    The result may exceed MAX_BYTES: the caller cuts the batch smaller and calls again.
    """
    event_ids = [record.event_id for record in records]
    origins = [record.origin for record in records]
    has_origins = any(origins)
    envelope = _RawEnvelope(
        version=VERSION_WITH_ORIGINS if has_origins else _PLAIN_VERSION,
        gateway=header.gateway,
        epoch=header.epoch,
        batch=header.batch,
        sent_at_ms=header.sent_at_ms,
        offset_min=header.offset_min,
        clocks=header.clocks,
        series=list(series),
        seqs=_differences([record.seq for record in records]),
        times_ms=_differences(times_ms),
        clock_of=None if clock_of is None else list(clock_of),
        event_ids=event_ids if any(event_ids) else None,
        bodies=[msgspec.Raw(record.body) for record in records],
        origins=origins if has_origins else None,
    )
    positions: list[object] = [getattr(envelope, name) for name in envelope.__struct_fields__]
    positions[_SERIES] = [[entry.number, _short(entry.key)] for entry in series]
    if not has_origins:
        positions.pop()
    return shrink(_encoder.encode(positions))


def _short(key: SeriesKey) -> list[object]:
    """A key without the defaults at its end; a lone message is not long enough to compress them."""
    values = [getattr(key, name) for name in key.__struct_fields__]
    while values[-1] == _KEY_DEFAULTS[len(values) - 1]:
        values.pop()
    return values


def open_envelope(message: bytes) -> Envelope:
    """Open one message whole; EnvelopeError for any wrong position (then: ``open_leniently``)."""
    opened = expand(message)
    try:
        envelope = _decoder.decode(opened)
    except MALFORMED as error:
        _check_version(opened)
        raise EnvelopeError(str(error)) from error
    _check(envelope, len(envelope.bodies))
    return envelope


def origins_of(envelope: Envelope) -> dict[int, Origin]:
    """Origin by seq, of the records that have one."""
    if envelope.origins is None:
        return {}
    pairs = zip(sums(envelope.seqs), envelope.origins, strict=True)
    return {seq: origin for seq, origin in pairs if origin is not None}


def open_leniently(message: bytes) -> tuple[Envelope, dict[int, str]]:
    """Open a message with a sound header; bad bodies are left out, returned as {seq: reason}."""
    opened = expand(message)
    try:
        raw = _raw_decoder.decode(opened)
    except MALFORMED as error:
        _check_version(opened)
        raise EnvelopeError(str(error)) from error
    _check(raw, len(raw.bodies))
    return _without_bad_bodies(raw)


def _without_bad_bodies(raw: _RawEnvelope) -> tuple[Envelope, dict[int, str]]:
    seqs, times = sums(raw.seqs), sums(raw.times_ms)
    kept: list[int] = []
    bodies: list[Body] = []
    rejected: dict[int, str] = {}
    for place, body in enumerate(raw.bodies):
        try:
            bodies.append(_body_decoder.decode(body))
            kept.append(place)
        except MALFORMED as error:
            rejected[seqs[place]] = str(error)
    fields = {name: getattr(raw, name) for name in _Header.__struct_fields__}
    fields["seqs"] = _differences([seqs[place] for place in kept])
    fields["times_ms"] = _differences([times[place] for place in kept])
    if raw.clock_of is not None:
        fields["clock_of"] = [raw.clock_of[place] for place in kept]
    if raw.event_ids is not None:
        fields["event_ids"] = [raw.event_ids[place] for place in kept]
    if raw.origins is not None:
        fields["origins"] = [raw.origins[place] for place in kept]
    return Envelope(**fields, bodies=bodies), rejected


def shrink(opened: bytes) -> bytes:
    """Return the zstd form when it is shorter, else the bytes themselves."""
    if len(opened) < _WORTH_COMPRESSING:
        return opened
    # A lone record: 4 % less for 0.05 ms more. A large one would take many times as long.
    level = 19 if len(opened) <= _SMALL else 3
    packed = zstandard.ZstdCompressor(level=level, write_content_size=True).compress(opened)
    return packed if len(packed) < len(opened) else opened


def expand(message: bytes) -> bytes:
    """Undo ``shrink``; EnvelopeError for a message or a content larger than the limits."""
    if len(message) > MAX_BYTES:
        raise EnvelopeError(f"{len(message)} bytes, at most {MAX_BYTES}")
    if not message.startswith(_ZSTD_MAGIC):
        return message
    try:
        if zstandard.frame_content_size(message) > MAX_OPEN_BYTES:
            raise EnvelopeError(f"content of more than {MAX_OPEN_BYTES} bytes")
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_OPEN_BYTES)
        return decompressor.decompress(
            message, max_output_size=MAX_OPEN_BYTES, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise EnvelopeError(f"zstd: {error}") from error


def sums(differences: Sequence[int]) -> list[int]:
    """Undo the difference coding of ``seqs`` and ``times_ms``."""
    total = 0
    return [total := total + difference for difference in differences]


def _differences(values: Sequence[int]) -> list[int]:
    previous = 0
    coded: list[int] = []
    for value in values:
        coded.append(value - previous)
        previous = value
    return coded


def _check(envelope: Envelope | _RawEnvelope, bodies: int) -> None:
    if envelope.version > VERSION:
        raise VersionError(envelope.version, VERSION)
    if envelope.version < _PLAIN_VERSION:
        raise EnvelopeError(f"no version {envelope.version}", where="$[0]")
    lengths = {"times_ms": len(envelope.times_ms), "bodies": bodies}
    if envelope.clock_of is not None:
        lengths["clock_of"] = len(envelope.clock_of)
    if envelope.event_ids is not None:
        lengths["event_ids"] = len(envelope.event_ids)
    if envelope.origins is not None:
        lengths["origins"] = len(envelope.origins)
        epochs = {origin[0] for origin in envelope.origins if origin is not None}
        if len(epochs) > MAX_ORIGIN_EPOCHS or 0 in epochs or envelope.epoch in epochs:
            raise EnvelopeError("origins of the same, of no or of too many epochs", where="$[13]")
    for name, length in lengths.items():
        if length != len(envelope.seqs):
            raise EnvelopeError(f"{name} has {length} places, seqs {len(envelope.seqs)}")
    if envelope.clock_of and max(envelope.clock_of) >= len(envelope.clocks):
        raise EnvelopeError("clock_of points past clocks", where="$[10]")
    if not all(envelope.seqs[1:]) or sum(envelope.seqs) > MAX_SEQ:
        raise EnvelopeError(f"a seq stands twice or is above {MAX_SEQ}", where="$[8]")
    if not all(-_LARGEST_INT64 <= time <= _LARGEST_INT64 for time in sums(envelope.times_ms)):
        raise EnvelopeError("a time does not fit 63 bits", where="$[9]")


def _check_version(opened: bytes) -> None:
    """Raise VersionError when the bytes are an array that starts with a newer version."""
    try:
        parts = _version_decoder.decode(opened)
        version = msgspec.msgpack.decode(parts[0], type=int) if parts else VERSION
    except MALFORMED:
        return
    if version > VERSION:
        raise VersionError(version, VERSION)
