"""The origin of a salvaged record, kept with its body in the row.

    0xC1 | kind | epoch 8 | seq 8 | body       instead of      body

MessagePack never uses 0xC1, so no body begins with it; the kind stands where it stands in a body.
It is sealed with the row: what one row loses to damage no other row does. Only salvaged rows pay.

Pure.
"""

from struct import Struct
from typing import Final

from wardlight_shared.records import Origin

_MARK: Final = 0xC1
_FRAME: Final = Struct(">BBQQ")


def framed(body: bytes, origin: Origin | None) -> bytes:
    """What the row holds."""
    if origin is None:
        return body
    return _FRAME.pack(_MARK, body[1] if len(body) > 1 else 0, *origin) + body


def unframed(held: bytes) -> tuple[bytes, Origin | None]:
    """Body and origin of a row; a row without origin costs one look."""
    if held[:1] != b"\xc1" or len(held) < _FRAME.size:
        return held, None
    _, _, epoch, seq = _FRAME.unpack_from(held)
    return held[_FRAME.size :], (epoch, seq)
