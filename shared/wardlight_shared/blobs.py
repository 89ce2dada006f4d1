"""The messages of blobs: objects too large for an envelope, addressed by their SHA-256.

Up, on ``up/blob``: a gateway offers an item and sends missing octets. Down, on ``down/receipt``:
the collector says what it has. Any message may be lost or come twice: an answer always tells the
whole state of the blob, and an item counts as delivered only with the state STORED, which means
hash verified, object durable, index committed. Over HTTPS the same messages are request and answer.

Errors  EnvelopeError (path), VersionError for a newer version
Source  docs/wire-format.md
"""

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.records import MALFORMED

VERSION: Final = 1
GRAIN_BYTES: Final = 4096
"""Chunks begin at multiples of it and, but for the last one of a blob, end at one."""
LARGEST_CHUNK_BYTES: Final = 256 * 1024
MAX_BYTES: Final = LARGEST_CHUNK_BYTES + 4096
MAX_RANGES: Final = 256
MAX_TOGETHER: Final = 2

_UInt63 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Sha256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Text = Annotated[str, Meta(max_length=256)]
_Range = tuple[_UInt63, _UInt63]


class BlobKind(StrEnum):
    """What a blob is."""

    INSTANCE = "dicom-instance"  # a DICOM file (PS3.10)
    STEP = "dicom-mpps"  # one N-CREATE or N-SET of a Modality Performed Procedure Step


class BlobStatus(IntEnum):
    """What the collector says of a blob."""

    WANTED = 0  # send what is not in ``ranges``
    STORED = 1  # durable and indexed: this is the receipt of the item
    REFUSED = 2  # will not be taken as it is; ``reason`` says why, an operator has to look
    LATER = 3  # cannot be taken now; ask again


class Offer(msgspec.Struct, frozen=True, array_like=True, tag="offer"):
    """Gateway to collector: this item has this blob; what of it do you have?

    item         the gateway's number of the item, never reused within ``spool``
    spool        64 random bits made with the spool's database
    size         octets
    received_ms  UTC of the receipt from the modality
    about        INSTANCE: "sop_class", "sop_instance", "transfer_syntax", "calling_ae",
                 "called_ae", "peer" (address), "conflict" (true: another file has its UID);
                 STEP: "sop_instance", "event" ("create" or "set"), "calling_ae". STEP items of a
                 gateway are offered in the order of ``item``, each after the one before is STORED
    """

    version: int
    spool: _UInt63
    item: _UInt63
    sha256: _Sha256
    size: _UInt63
    kind: BlobKind
    received_ms: _UInt63
    about: Annotated[dict[_Text, _Text | int | bool | None], Meta(max_length=32)]


class Chunk(msgspec.Struct, frozen=True, array_like=True, tag="chunk"):
    """Gateway to collector: octets of a blob that was offered on this connection."""

    version: int
    sha256: _Sha256
    offset: _UInt63
    octets: Annotated[bytes, Meta(min_length=1, max_length=LARGEST_CHUNK_BYTES)]


class WorklistWanted(msgspec.Struct, frozen=True, array_like=True, tag="worklist"):
    """Gateway to collector: the gateway has the worklist up to ``revision`` (0 = none).

    ``epoch``: of the page that it had last, 0 = none was said.
    """

    version: int
    revision: _UInt63
    epoch: _UInt63 = 0


class BlobState(msgspec.Struct, frozen=True, array_like=True, tag="blob"):
    """Collector to gateway: all that is had of a blob.

    ranges  (first, end) of octets that are durable, in order, at most MAX_RANGES; [] when STORED
    items   items of ``spool`` that this receipt is for, when STORED or REFUSED
    """

    version: int
    sha256: _Sha256
    status: BlobStatus
    ranges: Annotated[list[_Range], Meta(max_length=MAX_RANGES)]
    spool: _UInt63 = 0
    items: Annotated[list[_UInt63], Meta(max_length=MAX_RANGES)] = []
    reason: _Text | None = None


def is_chunk_of(chunk: Chunk, offer: Offer) -> bool:
    """Whether these can be octets of the blob: inside it, and its last ones or whole grains."""
    end = chunk.offset + len(chunk.octets)
    is_whole = end == offer.size or end % GRAIN_BYTES == 0
    return chunk.sha256 == offer.sha256 and end <= offer.size and is_whole


Up = Offer | Chunk | WorklistWanted
_encoder: Final = msgspec.msgpack.Encoder()
_up_decoder: Final[msgspec.msgpack.Decoder[Up]] = msgspec.msgpack.Decoder(Up)
_together_decoder: Final[msgspec.msgpack.Decoder[list[Up]]] = msgspec.msgpack.Decoder(
    Annotated[list[Up], Meta(min_length=1, max_length=MAX_TOGETHER)]
)
_state_decoder: Final = msgspec.msgpack.Decoder(BlobState)


def encode(message: Up | BlobState) -> bytes:
    """Encode one message."""
    return _encoder.encode(message)


def decode_up(message: bytes) -> Up:
    """Decode a message of ``up/blob``."""
    decoded = _decoded(message, _up_decoder)
    _check(decoded)
    return decoded


def together(messages: Sequence[bytes]) -> bytes:
    """At most MAX_TOGETHER encoded messages as one body, in their order; for HTTPS."""
    return bytes((0x90 | len(messages),)) + b"".join(messages)


def decode_together(body: bytes) -> list[Up]:
    """Decode the body of a request over HTTPS: an offer, or an offer and one of its chunks."""
    decoded = _decoded(body, _together_decoder)
    for each in decoded:
        _check(each)
    return decoded


def decode_state(message: bytes) -> BlobState:
    """Decode a blob's state that came on ``down/receipt``."""
    state = _decoded(message, _state_decoder)
    _check(state)
    return state


def is_blob_state(message: bytes) -> bool:
    """True where a message of ``down/receipt`` is a BlobState, False for a control.Receipt."""
    return message[1:6] == b"\xa4blob"


_MessageT = TypeVar("_MessageT")


def _decoded(message: bytes, decoder: msgspec.msgpack.Decoder[_MessageT]) -> _MessageT:
    if len(message) > MAX_BYTES:
        raise EnvelopeError(f"{len(message)} bytes, at most {MAX_BYTES}")
    try:
        return decoder.decode(message)
    except MALFORMED as error:
        raise EnvelopeError(str(error)) from error


def _check(message: Up | BlobState) -> None:
    if message.version != VERSION:
        raise VersionError(message.version, VERSION)
    if isinstance(message, Chunk) and message.offset % GRAIN_BYTES:
        raise EnvelopeError(f"offset {message.offset} is no multiple of {GRAIN_BYTES}")
