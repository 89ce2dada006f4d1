"""What a row of the table ``item`` holds, and the trailer of its file, from which it can be made.

A trailer tells of its file all that the row does: a spool whose database was lost finds its items
again.

Errors  StorageError: a row does not open; DamagedFile: a trailer is none
"""

from typing import Final

import msgspec

from wardlight_edge.spool.base import About, Item, ItemState
from wardlight_edge.spool.database import Row
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.segments import DamagedFile
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError

ITEM_COLUMNS: Final = "item, kind, name, size, received_ms, state, reason, sealed"


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """The sealed column."""

    sha256: bytes
    about: dict[str, str | int | bool | None]


class Trailer(msgspec.Struct, frozen=True, array_like=True):
    """The end of a file. ``key`` is the SOP Instance UID, ``sender`` whose quota it counts in.

    ordinal  grows from file to file, whatever the wall clock does: their order of receipt
    """

    kind: BlobKind
    key: str
    sender: str
    received_ms: int
    sha256: bytes
    size: int
    about: dict[str, str | int | bool | None]
    ordinal: int = 0


_encoder: Final = msgspec.msgpack.Encoder()
_contents: Final = msgspec.msgpack.Decoder(Contents)
_trailer: Final = msgspec.msgpack.Decoder(Trailer)


def seal_contents(sealer: Sealer, name: bytes, sha256: bytes, about: About) -> bytes:
    """The sealed column of the row with this name."""
    return sealer.seal(b"item" + name, _encoder.encode(Contents(sha256, dict(about))))


def open_row(sealer: Sealer, row: Row) -> Item:
    """The item of a row of ITEM_COLUMNS."""
    item, kind, name, size, received_ms, state, reason, sealed = row
    try:
        contents = _contents.decode(sealer.open_sealed(b"item" + name, sealed))
    except msgspec.DecodeError as error:
        raise StorageError(f"row {item} of the spool is of another version") from error
    return Item(
        item=item,
        kind=BlobKind(kind),
        sha256=contents.sha256,
        size=size,
        received_ms=received_ms,
        about=contents.about,
        state=ItemState(state),
        reason=reason,
    )


def encode_trailer(trailer: Trailer) -> bytes:
    """A trailer as it stands at the end of a file."""
    return _encoder.encode(trailer)


def decode_trailer(octets: bytes) -> Trailer:
    """What a file says of itself."""
    try:
        return _trailer.decode(octets)
    except msgspec.DecodeError as error:
        raise DamagedFile("a file's end is of another version") from error
