"""The modality worklist on its way down: what changed after the revision that a gateway has.

An entry is a DICOM data set (Explicit VR Little Endian, no file meta) with the attributes of the
Modality Worklist Information Model. It names a patient: gateways keep it encrypted, brokers never
retain it, and it is sent only to the gateways it is meant for.

Errors  EnvelopeError (path), VersionError for a newer version
Source  docs/wire-format.md; DICOM PS3.4, annex K
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.records import MALFORMED

VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024
MAX_ENTRY_BYTES: Final = 32 * 1024

_UInt63 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class WorklistEntry(msgspec.Struct, frozen=True, array_like=True):
    """One scheduled procedure step; ``data_set`` None = it is no longer on the list."""

    entry: _UInt63
    revision: _UInt63
    data_set: Annotated[bytes, Meta(max_length=MAX_ENTRY_BYTES)] | None


class WorklistPage(msgspec.Struct, frozen=True, array_like=True):
    """Entries changed after ``since``, ascending by revision; the list is whole up to ``upto``.

    More pages follow while ``upto`` < ``newest``; the gateway asks again from ``upto``.
    ``since`` 0 begins anew: what the gateway held before is replaced. ``as_of_ms``: UTC at which
    the list was read, which is what the age of a cached worklist counts from. ``epoch``: of the
    database that counts revisions; those of another epoch say nothing of each other, so a page of
    another epoch does not continue a list. 0 = not said.
    """

    version: int
    since: _UInt63
    upto: _UInt63
    newest: _UInt63
    as_of_ms: _UInt63
    entries: Annotated[list[WorklistEntry], Meta(max_length=256)]
    epoch: _UInt63 = 0


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(WorklistPage)


def encode(page: WorklistPage) -> bytes:
    """Encode one page."""
    return _encoder.encode(page)


def decode(message: bytes) -> WorklistPage:
    """Decode a message of ``down/worklist``."""
    if len(message) > MAX_BYTES:
        raise EnvelopeError(f"{len(message)} bytes, at most {MAX_BYTES}")
    try:
        decoded = _decoder.decode(message)
    except MALFORMED as error:
        raise EnvelopeError(str(error)) from error
    if decoded.version != VERSION:
        raise VersionError(decoded.version, VERSION)
    return decoded
