"""The conversation with a glucose meter: records and their contexts, joined by sequence number.

A record that says "context follows" waits for it, over others and in either order; when the device
has sent everything, or too many wait, it goes without. Its name is the record alone, so that it is
the same record with and without.
"""

from typing import Final

from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import Bookmark, Bookmarks, Fetched, Steps
from wardlight_edge.devices._glucose_context import NO_MEALS, Context, decode_context
from wardlight_edge.devices._glucose_measurement import (
    Measurement,
    decode_measurement,
    readings_of,
)
from wardlight_edge.devices._quirks import meanings
from wardlight_edge.devices._stored_records import ONLY, StoredRecords, mark_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo, Flag

_MEASUREMENT: Final = "0x2A18"
_CONTEXT: Final = "0x2A34"
_CHANNELS: Final = frozenset({_MEASUREMENT, _CONTEXT})
_STORED: Final = int(Flag.FROM_STORAGE)
MOST_WAITING: Final = 16
_SEQUENCE: Final = slice(1, 3)


class GlucoseRecords(StoredRecords):
    """Fetches the memory of one meter."""

    def __init__(self, bookmarks: Bookmarks, *, asks_all: bool) -> None:
        bookmark = bookmarks.get(ONLY, Bookmark())
        super().__init__(bookmark, _CHANNELS, _CHANNELS, asks_all=asks_all)
        self._waiting: dict[int, tuple[Measurement, bytes]] = {}
        self._early: dict[int, Context] = {}
        self._meals = NO_MEALS

    def known_as(self, info: DeviceInfo) -> None:
        """What the device says of itself: some models give reserved meals a meaning."""
        self._meals = meanings(_CONTEXT, info)

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A record or a context."""
        self._transfer.heard(now_ms)
        if channel == _CONTEXT:
            return self._take_context(octets, now_ms)
        try:
            measurement = decode_measurement(octets)
        except DecodeError as error:
            sequence = octets[_SEQUENCE]
            number = int.from_bytes(sequence, "little") if len(sequence) == 2 else None
            return self._spoilt(number, octets, str(error), now_ms)
        context = self._early.pop(measurement.sequence, None)
        if measurement.awaits_context and context is None:
            self._waiting[measurement.sequence] = (measurement, octets)
            return self._overdue(now_ms)
        return self._event(measurement, octets, context, now_ms)

    def settle(self, now_ms: int) -> Steps:
        """No context comes any more."""
        waiting, self._waiting = self._waiting, {}
        self._early.clear()
        steps: Steps = ()
        for measurement, octets in waiting.values():
            steps += self._event(measurement, octets, None, now_ms)
        return steps

    def link_lost(self) -> Steps:
        """What waits comes again with its context."""
        self._waiting.clear()
        self._early.clear()
        return super().link_lost()

    def _take_context(self, octets: bytes, now_ms: int) -> Steps:
        try:
            context = decode_context(octets, self._meals)
        except DecodeError as error:
            return (Reject(octets, str(error)),)
        waiting = self._waiting.pop(context.sequence, None)
        if waiting is not None:
            return self._event(*waiting, context, now_ms)
        self._early[context.sequence] = context
        while len(self._early) > MOST_WAITING:
            self._early.pop(next(iter(self._early)))
        return ()

    def _overdue(self, now_ms: int) -> Steps:
        if len(self._waiting) <= MOST_WAITING:
            return ()
        oldest = self._waiting.pop(next(iter(self._waiting)))
        return self._event(*oldest, None, now_ms)

    def _event(
        self, measurement: Measurement, octets: bytes, context: Context | None, now_ms: int
    ) -> Steps:
        if not self._transfer.received(measurement.sequence, mark_of(octets), now_ms):
            return ()
        return (Fetched(readings_of(measurement, context, _STORED), octets),)
