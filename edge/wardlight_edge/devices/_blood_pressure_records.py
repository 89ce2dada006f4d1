"""Blood Pressure Record 0x2B36: a stored value of another characteristic, and how it is fetched.

In      segmentation u8 | sequence number u16 | UUID u16 | octets of the value | [CRC u16]
        segmentation b0 first, b1 last segment, b2-7 a counter that rolls over at 63; each segment
        names number and UUID again, the CRC of all of it stands at the end of the last
Out     the value, and its characteristic: 0x2A35 or 0x2B34. Its name is that of the value shown at
        once, so that a measurement that comes both ways is one event
        Sequence numbers count for each user by themselves, so records are known by their octets,
        not their numbers: all are asked for
Errors  DecodeError: a part of a record, lost segments, another characteristic, a wrong CRC
Source  Bluetooth BLS 1.1, 3.6 and 3.7; GSS Blood Pressure Record. Over which octets the CRC of a
        record of several segments runs is not said clearly: over them as sent, or as if they were
        one; both are taken
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import Bookmark, Bookmarks, Fetched, Steps
from wardlight_edge.devices._e2e_crc import CRC_LENGTH, crc16
from wardlight_edge.devices._gatt import check_at_least
from wardlight_edge.devices._stored_records import ONLY, StoredRecords, mark_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Reading

RECORD: Final = "0x2B36"
_HEAD: Final = Struct("<BHH")
_FIRST, _LAST = 0b01, 0b10
_COUNTERS: Final = 64
_MOST_OCTETS: Final = 64  # of a value: the longest blood pressure has 20, and its CRC
_MOST_KEPT: Final = 4 * _MOST_OCTETS  # of a record, as it is known and rejected

Lengths = Mapping[str, Callable[[bytes], int]]
"""How long a value of a characteristic is, as its own flags say."""


class LostSegmentError(DecodeError):
    """A segment of a record did not arrive; the record may be asked for again."""


class RecordSegments:
    """Joins the segments of records; keeps at most one record."""

    def __init__(self, lengths: Lengths) -> None:
        self._lengths = lengths
        self._begun: tuple[bytes, ...] = ()

    def take(self, segment: bytes) -> tuple[str, bytes] | None:
        """Take a segment; return characteristic and value of the record that it completes."""
        check_at_least(RECORD, segment, _HEAD.size + 1)
        begun, self._begun = self._begun, ()
        if segment[0] & _FIRST:
            begun = ()
        elif not begun or not _follows(begun[-1], segment):
            raise LostSegmentError(f"{RECORD}: a segment that does not follow, one was lost")
        begun += (segment,)
        if sum(len(each) - _HEAD.size for each in begun) > _MOST_OCTETS:
            raise DecodeError(f"{RECORD}: over {_MOST_OCTETS} bytes in segments")
        if segment[0] & _LAST:
            return self._value(begun)
        self._begun = begun
        return None

    def _value(self, segments: tuple[bytes, ...]) -> tuple[str, bytes]:
        _, number, uuid = _HEAD.unpack_from(segments[0])
        name = f"0x{uuid:04X}"
        if name not in self._lengths:
            raise DecodeError(f"{RECORD}: a record of {name}, which is no blood pressure")
        octets = b"".join(each[_HEAD.size :] for each in segments)
        length = self._lengths[name](octets)
        if len(octets) == length:
            return name, octets
        if len(octets) != length + CRC_LENGTH:
            raise DecodeError(f"{RECORD}: {len(octets)} bytes, its flags ask for {length}")
        as_one = _HEAD.pack(_FIRST | _LAST, number, uuid) + octets
        sent = int.from_bytes(octets[length:], "little")
        if sent not in {crc16(each[:-CRC_LENGTH]) for each in (b"".join(segments), as_one)}:
            raise DecodeError(f"{RECORD}: wrong E2E-CRC")
        return name, octets[:length]


def _follows(before: bytes, segment: bytes) -> bool:
    is_next = (before[0] >> 2) + 1 == segment[0] >> 2 or (
        before[0] >> 2 == _COUNTERS - 1 and segment[0] >> 2 == 0
    )
    return is_next and before[1 : _HEAD.size] == segment[1 : _HEAD.size]


class BloodPressureRecords(StoredRecords):
    """Fetches the memory of one cuff."""

    def __init__(
        self,
        bookmarks: Bookmarks,
        lengths: Lengths,
        decode: Callable[[str, bytes], tuple[Reading, ...]],
        *,
        asks_all: bool,
    ) -> None:
        bookmark = bookmarks.get(ONLY, Bookmark())
        channels = frozenset({RECORD})
        super().__init__(bookmark, channels, channels, numbered=False, asks_all=asks_all)
        self._lengths = lengths
        self._decode = decode
        self._segments = RecordSegments(lengths)
        self._octets = b""

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A segment of a record."""
        del channel
        self._transfer.heard(now_ms)
        is_first = bool(octets) and bool(octets[0] & _FIRST)
        self._octets = octets if is_first else (self._octets + octets)[:_MOST_KEPT]
        try:
            whole = self._segments.take(octets)
            if whole is None:
                return ()
            readings = self._decode(*whole)
        except LostSegmentError as error:
            return (Reject(octets, str(error)),)  # not counted: all is asked for again
        except DecodeError as error:
            return self._spoilt(None, self._octets[:_MOST_KEPT], str(error), now_ms)
        if not self._transfer.received(None, mark_of(self._octets), now_ms):
            return ()
        return (Fetched(readings, whole[1]),)

    def link_lost(self) -> Steps:
        """A record that was begun comes again."""
        self._segments = RecordSegments(self._lengths)
        return super().link_lost()
