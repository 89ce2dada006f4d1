"""Whether a DICOM data set is whole: all that it declares is there, and what it opens ends.

In      octets of a data set as they come; those of long values need not be shown (``pass_over``)
Out     nothing: ``end`` returns for a data set that is whole
Errors  NotWhole: it ends too early, or an element is longer than what it is in

Only lengths are looked at, not values (but those that are ``noted``), nor their order; odd lengths,
zeros behind the data set, and whatever follows the pixel data without being an element, are let
pass. What is cut off exactly between two elements of the first level cannot be told from a whole
one.

Like pydicom, this believes the first element of the data set, and of each item, about value
representations where it contradicts the transfer syntax, and reads an element whose VR is none as
one without.

Source  DICOM PS3.5, 7.1 (elements), 7.5 (sequences), annex A.4 (encapsulated pixel data)
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, Literal

from wardlight_shared.errors import DecodeError

BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_LITTLE: Final = Struct("<HH2sHI"), Struct("<I")
_BIG: Final = Struct(">HH2sHI"), Struct(">I")
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_ITEM: Final = 0xFFFE_E000
_END_OF_ITEM: Final = 0xFFFE_E00D
_END_OF_ITEMS: Final = 0xFFFE_E0DD
_PIXEL_DATA: Final = frozenset((0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010))
_PIXELS: Final = 0x7FE0
_LAST_PIXELS: Final = 0x7FE0_0010
_UNDEFINED: Final = 0xFFFF_FFFF
_HEAD: Final = 8
_LONG_HEAD: Final = 12
_DEEPEST: Final = 64
_TAIL: Final = bytes(_LONG_HEAD - _HEAD)
_LONGEST_NOTED: Final = 1024

IsSequence = Callable[[int, bytes], bool]
"""Whether an element of this tag and VR (b"" = none) that has a length is a sequence."""


class NotWhole(DecodeError):
    """A data set of which something is missing."""


class _Level:
    """What is open: the data set, the items of a value, or an item."""

    __slots__ = ("end", "goes_in", "has_items", "is_implicit", "limit")

    def __init__(
        self,
        *,
        has_items: bool,
        end: int | None,
        limit: int | None,
        is_implicit: bool | None,
        goes_in: bool = False,
    ) -> None:
        self.has_items = has_items
        self.goes_in = goes_in  # whether items that have a length are looked into
        self.end = end  # None: a delimiter ends it
        self.limit = limit  # the nearest end of what it is in
        self.is_implicit = is_implicit  # None: its first element will tell


class DataSetEnd:
    """Follows one data set from its first octet to its last.

    transfer_syntax  that of the octets: of a deflated data set that of what it inflates to
    is_sequence      None: values that have a length are passed over, whatever they hold
    heads_most       after so many elements no more is judged: None = to the end
    noted            tags of the first level, VR UI, whose values are wanted, of one group; the
                     octets of all values must be shown then
    """

    def __init__(
        self,
        transfer_syntax: str,
        *,
        is_sequence: IsSequence | None = None,
        heads_most: int | None = None,
        noted: frozenset[int] = frozenset(),
    ) -> None:
        self._is_big = transfer_syntax == BIG_ENDIAN
        self._head, self._word = _BIG if self._is_big else _LITTLE
        self._is_sequence = is_sequence
        self._heads_left = heads_most
        self._levels = [_Level(has_items=False, end=None, limit=None, is_implicit=None)]
        self._seen = 0  # octets so far
        self._next = 0  # where the next head begins
        self._held = b""  # the part of it that was seen
        self._has_pixels = False
        self._is_over = False
        self._noted = noted
        self._group = next(iter(noted), -1) >> 16
        self._values: dict[int, bytes | None] = {}

    @property
    def values(self) -> Mapping[int, bytes | None] | None:
        """The noted values in front of the pixel data, of several the last; after ``end``.

        None for one that may be no UID, whatever it is: of another VR, or very long. None in the
        place of all: not all of the data set could be followed.
        """
        return None if self._is_over and not self._has_pixels else self._values

    @property
    def ahead(self) -> int:
        """How many of the octets that come need not be shown."""
        return max(self._next - self._seen, 0)

    def pass_over(self, count: int) -> None:
        """So many octets of those ``ahead`` are there, and are not shown."""
        self._seen += count

    def add(self, octets: bytes | memoryview) -> None:
        """Take the next octets; NotWhole as soon as they cannot be right."""
        self._seen += len(octets)
        if self._seen <= self._next or self._is_over:
            return
        known = b"".join((self._held, octets)) if self._held else octets
        base = self._seen - len(known)
        at = max(self._next - base, 0)
        while not self._is_over and at < len(known):
            size = self._plain_elements(known, at) or self._step(known, at)
            if not size:
                break
            self._next += size
            at += size
        self._held = bytes(known[at:])

    def end(self) -> None:
        """There are no more octets; NotWhole where some are missing."""
        if self._is_over:
            return
        if self._next > self._seen:
            raise NotWhole("a data set that ends inside a value")
        self._close(self._next)
        if len(self._levels) > 1:
            raise NotWhole("a data set that ends inside a sequence, or inside its pixel data")
        if self._held and not (self._is_padding() or self._is_behind_pixels()):
            raise NotWhole("a data set that ends inside the head of an element")

    def _plain_elements(self, known: bytes | memoryview, first: int) -> int:
        """Pass over what needs no thought, most of a data set; how many octets that is."""
        is_implicit = self._levels[-1].is_implicit
        if len(self._levels) > 1 or is_implicit is None or self._has_pixels or self._is_sequence:
            return 0
        unpack, last, at, heads = self._head.unpack_from, len(known) - _LONG_HEAD, first, 0
        while at <= last:
            group, _, vr, short, long = unpack(known, at)
            if group >= _PIXELS or group == self._group:
                break
            if is_implicit:
                (length,) = self._word.unpack_from(known, at + 4)
                if length == _UNDEFINED:
                    break
                at += _HEAD + length
            elif vr in _SHORT:
                at += _HEAD + short
            elif vr in _LONG and long != _UNDEFINED:
                at += _LONG_HEAD + long
            else:
                break
            heads += 1
        if self._heads_left is not None:
            self._heads_left -= heads
        return at - first

    def _step(self, known: bytes | memoryview, at: int) -> int:
        """Read a head; how far the next one is, 0 = more octets are needed."""
        left = len(known) - at
        if left < _HEAD:
            return 0
        group, number, vr, short, long = self._head.unpack(
            known[at : at + _LONG_HEAD] if left >= _LONG_HEAD else bytes(known[at:])[:_HEAD] + _TAIL
        )
        if self._close(self._next):
            return self._step(known, at)
        tag = group << 16 | number
        level = self._levels[-1]
        size = _HEAD
        if group == 0xFFFE or level.has_items:
            length, vr = self._plain(known, at), b""
        else:
            if level.is_implicit is None:
                level.is_implicit = not _is_vr(vr)
            if level.is_implicit:
                length, vr = self._plain(known, at), b""
            elif vr in _SHORT:
                length = short
            elif vr in _LONG:
                if left < _LONG_HEAD:
                    return 0
                size, length = _LONG_HEAD, long
            elif _is_vr(vr):
                self._is_over = True  # an unknown VR: nobody knows how long its length is
                return 0
            else:
                length, vr = self._plain(known, at), b""
        is_first_level = len(self._levels) == 1 and not self._has_pixels
        if (
            is_first_level
            and tag in self._noted
            and not self._note(tag, vr, known[at:], size, length)
        ):
            return 0
        if self._heads_left is not None:
            self._heads_left -= 1
            self._is_over = self._heads_left < 0
        if level.has_items:
            return self._in_items(level, tag, length)
        return size + self._in_data(level, tag, vr, length, self._next + size)

    def _note(
        self, tag: int, vr: bytes, octets: bytes | memoryview, size: int, length: int
    ) -> bool:
        """Keep a value that begins after ``size`` of these octets; False = it has not all come."""
        may_be_uid = vr == b"UI" or bool(self._levels[-1].is_implicit)
        if not may_be_uid or length > _LONGEST_NOTED:
            self._values[tag] = None
        elif len(octets) < size + length:
            return False
        else:
            self._values[tag] = bytes(octets[size : size + length])
        return True

    def _in_items(self, level: _Level, tag: int, length: int) -> int:
        if tag == _END_OF_ITEMS:
            if level.end is None:
                self._levels.pop()
            return _HEAD
        if tag != _ITEM:
            if self._is_big:  # items of VR UN may be of the other order
                self._is_over = True
                return 0
            raise NotWhole("a data set whose sequence has something else than items")
        first = self._next + _HEAD
        if length == _UNDEFINED:
            self._open(level, has_items=False, end=None)
            return _HEAD
        self._check(level, first + length)
        if not level.goes_in:
            return _HEAD + length
        self._open(level, has_items=False, end=first + length)
        return _HEAD

    def _in_data(self, level: _Level, tag: int, vr: bytes, length: int, first: int) -> int:
        """``first``: where the value begins. How long what is passed over of it is."""
        if tag in (_END_OF_ITEM, _END_OF_ITEMS):
            self._end_of_item(level, tag)
            return 0
        is_top = len(self._levels) == 1
        if is_top and self._has_pixels and (tag <= _LAST_PIXELS or not (vr or level.is_implicit)):
            self._is_over = True  # no element, but whatever some writer left there
            return 0
        if is_top and tag in _PIXEL_DATA:
            self._has_pixels = True
        goes_in = self._is_sequence is not None and self._is_sequence(tag, vr)
        if length == _UNDEFINED:
            self._open(level, has_items=True, end=None, goes_in=goes_in)
            return 0
        self._check(level, first + length)
        if goes_in:
            self._open(level, has_items=True, end=first + length, goes_in=True)
            return 0
        return length

    def _end_of_item(self, level: _Level, tag: int) -> None:
        """A delimiter among elements; one after what has a length says nothing."""
        if len(self._levels) == 1:
            self._is_over = True
        elif level.end is None:
            self._levels.pop()
            if tag == _END_OF_ITEMS and self._levels[-1].end is None:
                self._levels.pop()

    def _close(self, at: int) -> bool:
        """Leave what ends here; True where something did."""
        count = len(self._levels)
        while len(self._levels) > 1:
            level = self._levels[-1]
            if level.limit is None or at < level.limit:
                break
            if level.end is None:
                raise NotWhole("a data set of which a sequence does not end inside its item")
            self._levels.pop()
        return len(self._levels) < count

    def _open(
        self, level: _Level, *, has_items: bool, end: int | None, goes_in: bool = False
    ) -> None:
        if len(self._levels) > _DEEPEST:
            raise NotWhole("a data set of too many sequences in one another")
        # What is in elements without VR has none either; else the first element of an item tells.
        is_implicit = level.is_implicit if has_items or level.is_implicit else None
        self._levels.append(
            _Level(
                has_items=has_items,
                end=end,
                limit=level.limit if end is None else end,
                is_implicit=is_implicit,
                goes_in=goes_in,
            )
        )

    def _check(self, level: _Level, end: int) -> None:
        if level.limit is not None and end > level.limit:
            raise NotWhole("a data set of which an element is longer than what it is in")

    def _is_padding(self) -> bool:
        padding = b"\0\r\n" if self._has_pixels else b"\0"
        # One zero may be the first octet of a big endian tag.
        return not self._held.strip(padding) and len(self._held) > self._is_big

    def _is_behind_pixels(self) -> bool:
        """Whether the last octets cannot begin an element that follows the pixel data."""
        order: Literal["little", "big"] = "big" if self._is_big else "little"
        group = int.from_bytes(self._held[:2], order)
        return self._has_pixels and len(self._held) > 1 and group < _PIXELS

    def _plain(self, known: bytes | memoryview, at: int) -> int:
        found: int = self._word.unpack(known[at + 4 : at + 8])[0]
        return found


def _is_vr(vr: bytes) -> bool:
    return vr.isalpha() and vr.isupper()
