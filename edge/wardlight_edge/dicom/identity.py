"""What a data set says that it is: its SOP Class and SOP Instance UID, from its first octets.

In      fragments of a data set as they come, and the transfer syntax
Out     Identity; None while more octets are needed. Of at most LOOKED_AT octets, no copy is made
        where the first fragment has all of them that are needed. They are read when they have
        doubled since, and at the data set's end: fragments of a few octets cost no more than others
Errors  NoIdentity: it does not say it there, or cannot be read

Elements before the two are passed over, undefined lengths included. Like pydicom, which reads it
in the cloud, this believes the first element where that contradicts the transfer syntax about
value representations.

Source  DICOM PS3.5, 7.1 (elements), 7.5 (sequences), annex A (transfer syntaxes)
"""

import zlib
from struct import Struct
from typing import Final, NamedTuple

from wardlight_edge.dicom.negotiation import IMPLICIT
from wardlight_shared.errors import DecodeError
from wardlight_shared.transfer_syntaxes import DEFLATED

LOOKED_AT: Final = 64 * 1024
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_SOP_CLASS: Final = 0x0008_0016
_SOP_INSTANCE: Final = 0x0008_0018
_ITEM: Final = 0xFFFE_E000
_END_OF_ITEM: Final = 0xFFFE_E00D
_END_OF_ITEMS: Final = 0xFFFE_E0DD
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UNDEFINED: Final = 0xFFFF_FFFF
_DEEPEST: Final = 16
_PADDING: Final = b"\0 "
_LITTLE: Final = Struct("<HH"), Struct("<H"), Struct("<I")
_BIG: Final = Struct(">HH"), Struct(">H"), Struct(">I")


class NoIdentity(DecodeError):
    """A data set that does not say what it is."""


class Identity(NamedTuple):
    """SOP Class and SOP Instance UID without their padding."""

    sop_class: str
    sop_instance: str


class _More(Exception):
    """The octets end before what is looked for."""


class Beginning:
    """The first octets of one data set."""

    def __init__(self, transfer_syntax: str) -> None:
        self._syntax = transfer_syntax
        self._held = bytearray()
        self._enough = 0
        self._inflate = zlib.decompressobj(-15) if transfer_syntax in DEFLATED else None

    def add(self, octets: memoryview) -> Identity | None:
        """Take the next fragment; not to be called again after an answer or an error."""
        known: bytes | memoryview = octets[: LOOKED_AT - len(self._held)]
        if self._inflate is not None:
            try:
                known = self._inflate.decompress(octets, LOOKED_AT - len(self._held))
            except zlib.error:
                raise NoIdentity("a data set that is not deflated as it should be") from None
        if self._held:
            self._held += known
            if len(self._held) < self._enough:
                return None
            known = bytes(self._held)
        found = self._read(known)
        if found is None:
            self._enough = min(2 * len(known), LOOKED_AT)
            if not self._held:
                self._held += known
        return found

    def end(self) -> Identity:
        """The data set is whole, and ``add`` had no answer."""
        found = self._read(bytes(self._held))
        if found is None:
            raise NoIdentity("a data set that ends before it says what it is")
        return found

    def _read(self, known: bytes | memoryview) -> Identity | None:
        try:
            return _identity(memoryview(known), self._syntax)
        except _More:
            if len(known) >= LOOKED_AT:
                raise NoIdentity("a data set that does not begin with what it is") from None
        return None


def _identity(octets: memoryview, syntax: str) -> Identity:
    reader = _Reader(octets, is_big=syntax == _BIG_ENDIAN)
    is_implicit = reader.is_implicit(is_assumed=syntax == IMPLICIT)
    sop_class = ""
    while True:
        tag, vr, length = reader.head(is_implicit=is_implicit)
        if tag == _SOP_CLASS:
            sop_class = reader.text(length)
        elif tag < _SOP_INSTANCE:
            reader.skip(length, is_implicit=is_implicit or vr == b"UN")
        else:
            uid = reader.text(length) if tag == _SOP_INSTANCE and sop_class else ""
            if not uid:
                raise NoIdentity("a data set that does not say what it is")
            return Identity(sop_class, uid)


class _Reader:
    """Passes over elements; _More at the end of the octets."""

    def __init__(self, octets: memoryview, *, is_big: bool) -> None:
        self._octets = octets
        self._at = 0
        self._tag, self._short, self._word = _BIG if is_big else _LITTLE

    def is_implicit(self, *, is_assumed: bool) -> bool:
        """Whether the first element has no value representation."""
        vr = bytes(self._octets[4:6])
        return not (vr.isalpha() and vr.isupper()) if len(vr) == 2 else is_assumed

    def head(self, *, is_implicit: bool) -> tuple[int, bytes, int]:
        """Tag, value representation and length of the element that comes."""
        group, element = self._tag.unpack(self._take(self._tag.size))
        tag = group << 16 | element
        if is_implicit or group == 0xFFFE:
            return tag, b"", self._word.unpack(self._take(4))[0]
        vr = bytes(self._take(2))
        if vr not in _LONG:
            return tag, vr, self._short.unpack(self._take(2))[0]
        self._take(2)
        return tag, vr, self._word.unpack(self._take(4))[0]

    def text(self, length: int) -> str:
        """The UID of this length."""
        if length > LOOKED_AT:
            raise NoIdentity("a data set whose UID has no end")
        return bytes(self._take(length)).strip(_PADDING).decode("ascii", errors="replace")

    def skip(self, length: int, *, is_implicit: bool, depth: int = 0) -> None:
        """Pass over a value; one of undefined length is a sequence."""
        if length != _UNDEFINED:
            self._take(length)
            return
        if depth >= _DEEPEST:
            raise NoIdentity("a data set of too many sequences in one another")
        while True:
            tag, _, item = self.head(is_implicit=True)
            if tag == _END_OF_ITEMS:
                return
            if tag != _ITEM:
                raise NoIdentity("a data set whose sequence has something else than items")
            if item != _UNDEFINED:
                self._take(item)
            else:
                self._skip_item(is_implicit=is_implicit, depth=depth + 1)

    def _skip_item(self, *, is_implicit: bool, depth: int) -> None:
        while True:
            tag, vr, length = self.head(is_implicit=is_implicit)
            if tag == _END_OF_ITEM:
                return
            self.skip(length, is_implicit=is_implicit or vr == b"UN", depth=depth)

    def _take(self, count: int) -> memoryview:
        first, self._at = self._at, self._at + count
        if self._at > len(self._octets):
            raise _More
        return self._octets[first : self._at]
