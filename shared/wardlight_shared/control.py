"""The small messages: hello and state go up; ack, config and receipt come down.

MessagePack arrays like the envelope. Each is idempotent: losing or repeating one is harmless.

Errors  EnvelopeError (path), VersionError for a newer version
Source  docs/wire-format.md
"""

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.records import MALFORMED

VERSION: Final = 1
MAX_RANGES: Final = 64
MAX_BYTES: Final = 64 * 1024

_UInt63 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Range = tuple[_UInt63, _UInt63]
_Text = Annotated[str, Meta(max_length=256)]


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Gateway to collector, on connect and when asked.

    lowest, highest  seqs still kept by the gateway and the newest one; 0, 0 = nothing yet
    mono_ms          gateway monotonic clock, echoed in the answer for the round trip
    """

    version: int
    gateway: _Text
    epoch: _UInt63
    lowest: _UInt63
    highest: _UInt63
    mono_ms: _UInt63
    software: _Text


class Ack(msgspec.Struct, frozen=True, array_like=True):
    """Collector to gateway: what the database has committed of ``epoch``.

    upto            every seq <= upto is committed or finally rejected (contiguous from 1)
    ranges          (first, last), inclusive, of committed seqs above ``upto``; at most MAX_RANGES
    rejected        (seq, reason): in the dead-letter table; keep a copy until the receipt
    server_time_ms  collector UTC when it answered
    echo_mono_ms    ``mono_ms`` of the hello this answers, else None
    hello_wanted    True: please send a hello (a collector took over the shard)
    reads           the newest envelope version that this collector reads
    """

    version: int
    epoch: _UInt63
    upto: _UInt63
    ranges: Annotated[list[_Range], Meta(max_length=MAX_RANGES)]
    rejected: list[tuple[_UInt63, _Text]]
    server_time_ms: _UInt63
    echo_mono_ms: _UInt63 | None = None
    hello_wanted: bool = False
    reads: Annotated[int, Meta(ge=1)] = 1


class GatewayConfig(msgspec.Struct, frozen=True, array_like=True):
    """Configuration: send 1 s blocks until ``live_until_ms`` (UTC ms; None = nobody watches)."""

    version: int
    live_until_ms: _UInt63 | None


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """Rejected records an operator has released: the gateway may drop its copies."""

    version: int
    epoch: _UInt63
    released: list[_UInt63]


class GatewayState(msgspec.Struct, frozen=True, array_like=True):
    """Retained presence; the will is the same message with ``online`` False."""

    version: int
    online: bool
    epoch: _UInt63
    software: _Text


Control = Hello | Ack | GatewayConfig | Receipt | GatewayState
_ControlT = TypeVar("_ControlT", Hello, Ack, GatewayConfig, Receipt, GatewayState)
_encoder: Final = msgspec.msgpack.Encoder()


def encode(message: Control) -> bytes:
    """Encode one control message."""
    return _encoder.encode(message)


def decode(message: bytes, kind: type[_ControlT]) -> _ControlT:
    """Decode a message that came on the topic of ``kind``."""
    if len(message) > MAX_BYTES:
        raise EnvelopeError(f"{len(message)} bytes, at most {MAX_BYTES}")
    try:
        decoded = msgspec.msgpack.decode(message, type=kind)
    except MALFORMED as error:
        raise EnvelopeError(str(error)) from error
    if decoded.version != VERSION:
        raise VersionError(decoded.version, VERSION)
    return decoded
