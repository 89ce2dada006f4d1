"""IEEE 11073-20601 Regulatory Certification Data List: what a device was certified for.

In      count u16, length u16 of all that follows, then so many entries: body u8, kind u8, length
        u16, data; high bytes first (MDER). Continua is body 2: kind 1 = version of its guidelines
        u8.u8 and a list (count u16, length u16) of certified classes u16, kind 2 = a word whose
        first bit says "not regulated"
Out     Certification; the entries of other bodies are checked for their form and left out. Zeros
        alone (Omron) and TI's placeholder "experimental" say nothing
Errors  DecodeError: a count or length that does not fit
Source  IEEE 11073-20601 A.5 (RegCertDataList, MDER in F); Bluetooth Personal Health Devices
        Transcoding White Paper, its example; Continua H.811
"""

from struct import Struct
from typing import Final

import msgspec

from wardlight_shared.errors import DecodeError

NAME: Final = "0x2A2A"
_LIST: Final = Struct(">HH")
_ENTRY: Final = Struct(">BBH")
_WORD: Final = Struct(">H")
_GUIDELINES: Final = Struct(">BB")
_CONTINUA: Final = 2
_VERSION, _REGULATION = 1, 2
_UNREGULATED: Final = 0x8000  # BITS-16: bit 0 is the most significant
_PLACEHOLDER: Final = b"\xfe\x00experimental"


class Certification(msgspec.Struct, frozen=True):
    """What Continua says of the device; None = it says nothing of that.

    version    of the guidelines, "1.5"
    classes    certified device classes, hex: transport * 8192 + (MDC device specialization - 4096)
    regulated  "yes", "no"
    """

    version: str | None = None
    classes: str | None = None
    regulated: str | None = None


def certification_of(value: bytes) -> Certification:
    """Decode one value of 0x2A2A."""
    if value.rstrip(b"\0") in {b"", _PLACEHOLDER} and len(value) >= _LIST.size:
        return Certification()
    found = Certification()
    for body, kind, data in _entries(value):
        if body == _CONTINUA and kind == _VERSION:
            found = _versioned(found, data)
        elif body == _CONTINUA and kind == _REGULATION:
            (word,) = _unpacked(_WORD, data)
            regulated = "no" if word & _UNREGULATED else "yes"
            found = msgspec.structs.replace(found, regulated=regulated)
    return found


def _entries(value: bytes) -> list[tuple[int, int, bytes]]:
    entries, rest = [], value[_LIST.size :]
    for _ in range(_counted(value)):
        if len(rest) < _ENTRY.size:
            raise DecodeError(f"{NAME}: {len(value)} bytes end inside an entry")
        body, kind, length = _ENTRY.unpack_from(rest)
        entries.append((body, kind, rest[_ENTRY.size : _ENTRY.size + length]))
        if len(entries[-1][2]) != length:
            raise DecodeError(f"{NAME}: {len(value)} bytes end inside an entry")
        rest = rest[_ENTRY.size + length :]
    if rest:
        raise DecodeError(f"{NAME}: {len(rest)} bytes behind the last entry")
    return entries


def _counted(value: bytes) -> int:
    """How many elements a list has; its length must be that of the value."""
    if len(value) < _LIST.size:
        raise DecodeError(f"{NAME}: {len(value)} bytes, a list has at least {_LIST.size}")
    count, length = _LIST.unpack_from(value)
    if length != len(value) - _LIST.size:
        raise DecodeError(f"{NAME}: {len(value)} bytes, its list asks for {length + _LIST.size}")
    return int(count)


def _versioned(found: Certification, data: bytes) -> Certification:
    major, minor = _unpacked(_GUIDELINES, data[: _GUIDELINES.size])
    listed = data[_GUIDELINES.size :]
    count, words = _counted(listed), listed[_LIST.size :]
    if len(words) != count * _WORD.size:
        raise DecodeError(f"{NAME}: {len(words)} bytes of {count} device classes")
    classes = ", ".join(f"{word:04X}" for (word,) in _WORD.iter_unpack(words))
    version = f"{major}.{minor}"
    return msgspec.structs.replace(found, version=version, classes=classes or None)


def _unpacked(form: Struct, data: bytes) -> tuple[int, ...]:
    if len(data) != form.size:
        raise DecodeError(f"{NAME}: {len(data)} bytes of an entry that has {form.size}")
    return form.unpack(data)
