"""The conversation with an oximeter that keeps its spot checks.

Its records have no numbers, so all of them are asked for, and those of the last time are known by
their fingerprints. A spot check may come twice, at once and from storage; but for the mark of
storage it is the same value, and so is its name. Without a date nothing tells two equal values
apart: those that come by themselves are taken each, of those from storage one.
"""

from collections.abc import Callable
from typing import Final

from wardlight_edge.devices._dialogue import Bookmark, Bookmarks, Fetched, Steps
from wardlight_edge.devices._stored_records import ONLY, StoredRecords, mark_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Flag, Reading

SPOT_CHECK: Final = "0x2A5E"
_NOTHING_KEPT: Final[frozenset[str]] = frozenset()
_HAS_TIME, _HAS_STATUS = 0b01, 0b10
_STATUS_AT: Final = 5
_TIME_LENGTH: Final = 7
_FROM_STORAGE: Final = 0b10  # bit 9 of the measurement status: bit 1 of its second octet


class SpotChecks(StoredRecords):
    """Fetches the memory of one oximeter; a value that comes by itself is taken at any time."""

    def __init__(
        self, bookmarks: Bookmarks, decode: Callable[[str, bytes], tuple[Reading, ...]]
    ) -> None:
        super().__init__(
            bookmarks.get(ONLY, Bookmark()), frozenset({SPOT_CHECK}), _NOTHING_KEPT, numbered=False
        )
        self._decode = decode

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A spot check."""
        try:
            readings = self._decode(channel, octets)
        except DecodeError as error:
            return self._spoilt(None, octets, str(error), now_ms)
        name = as_measured(octets)
        if _is_nameless(readings):
            return (Fetched(readings, name),)
        if not self._transfer.received(None, mark_of(name), now_ms):
            return ()
        return (Fetched(readings, name),)


def _is_nameless(readings: tuple[Reading, ...]) -> bool:
    """Just measured, by a device without a date: an equal one later is another one."""
    flags = readings[0].flags
    is_dated = readings[0].time is not None and not flags & Flag.DEVICE_CLOCK_UNSET
    return not is_dated and not flags & Flag.FROM_STORAGE


def as_measured(octets: bytes) -> bytes:
    """A whole spot check without the mark of storage."""
    if not octets[0] & _HAS_STATUS:
        return octets
    at = _STATUS_AT + (_TIME_LENGTH if octets[0] & _HAS_TIME else 0) + 1
    return octets[:at] + bytes([octets[at] & ~_FROM_STORAGE]) + octets[at + 1 :]
