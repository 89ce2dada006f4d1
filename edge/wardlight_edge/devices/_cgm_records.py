"""The conversation with a continuous glucose monitor: its session first, then its records.

    feature, start, run time, status (read) -> interval (control point) -> record access -> live

What it measures meanwhile waits until the start of the session is known, which dates it. Numbers
of records are minutes of one session: a bookmark of another one says nothing.
"""

from typing import Final

from wardlight_edge.devices import _cgm_measurement, _cgm_session
from wardlight_edge.devices._cgm_measurement import decode_record, reading_of, records_in
from wardlight_edge.devices._cgm_session import OPERATIONS, Start, get_interval
from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import Bookmark, Bookmarks, Fetched, Read, Steps, Write
from wardlight_edge.devices._shifted_time import shifted
from wardlight_edge.devices._stored_records import ONLY, StoredRecords, mark_of
from wardlight_edge.devices._transfer import TIMEOUT_MS, Transfer
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime, Flag

_MEASUREMENT: Final = _cgm_measurement.CHANNEL
_READS: Final = (
    _cgm_session.FEATURE,
    _cgm_session.START,
    _cgm_session.RUN_TIME,
    _cgm_session.STATUS,
)
_CHANNELS: Final = frozenset({_MEASUREMENT, OPERATIONS, *_READS})
_KEPT: Final = frozenset({_MEASUREMENT})
_STORED: Final = int(Flag.FROM_STORAGE)
_OVERDUE: Final = int(Flag.QUESTIONABLE)
_MINUTE_MS: Final = 60_000
_OFFSET: Final = slice(4, 6)
MOST_WAITING: Final = 64
NO_START: Final = Start(b"", None)


class CgmRecords(StoredRecords):
    """Fetches the records of a session, and takes those that come by themselves."""

    def __init__(self, bookmarks: Bookmarks, *, asks_all: bool) -> None:
        super().__init__(bookmarks.get(ONLY, Bookmark()), _CHANNELS, _KEPT, asks_all=asks_all)
        self._asks_all = asks_all
        self._waiting: list[bytes] = []
        self._to_read: list[str] = []
        self._interval_due_ms: int | None = None
        self._is_ready = False
        self._has_crc = False
        self._start = NO_START
        self._run_min: int | None = None
        self._now: tuple[int, int] | None = None  # minute of the session, and when it was read

    @property
    def deadline_ms(self) -> int | None:
        """When the control point or the records are overdue."""
        return self._interval_due_ms or super().deadline_ms

    def begin(self, now_ms: int) -> Steps:
        """Read what the session is."""
        self._forget_link()
        self._has_crc, self._start = False, NO_START
        self._run_min = self._now = None
        self._to_read = list(_READS)
        return self._go_on(now_ms)

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """What the device does not tell is done without."""
        if self._to_read and channel == self._to_read[0]:
            self._to_read.pop(0)
            return self._go_on(now_ms)
        if channel == OPERATIONS:
            return self._fetch(now_ms)
        return super().refused(channel, code, now_ms)

    def tick(self, now_ms: int) -> Steps:
        """An interval that is not told is done without."""
        if self._interval_due_ms is not None:
            return self._fetch(now_ms) if now_ms >= self._interval_due_ms else ()
        return super().tick(now_ms)

    def link_lost(self) -> Steps:
        """What waits is given again."""
        self._forget_link()
        return super().link_lost()

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A part of the session, or records."""
        if channel == _MEASUREMENT:
            return self._take_records(octets, now_ms)
        if self._to_read and channel == self._to_read[0]:
            self._to_read.pop(0)
            return (*self._told(channel, octets, now_ms), *self._go_on(now_ms))
        if channel == OPERATIONS and self._interval_due_ms is not None:
            self._transfer.step = _cgm_session.decode_operation(octets) or 1
            return self._fetch(now_ms)
        return ()

    # -- the session

    def _go_on(self, now_ms: int) -> Steps:
        if self._to_read:
            return (Read(self._to_read[0]),)
        run = self._start.octets.hex()
        if self._transfer.bookmark.run != run:
            self._transfer = Transfer(Bookmark(run=run), asks_all=self._asks_all)
        self._is_ready = True
        self._interval_due_ms = now_ms + TIMEOUT_MS
        return (Write(OPERATIONS, get_interval(self._has_crc)),)

    def _told(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        try:
            match channel:
                case _cgm_session.FEATURE:
                    self._has_crc = _cgm_session.decode_feature(octets)
                case _cgm_session.START:
                    self._start = _cgm_session.decode_start(octets)
                case _cgm_session.RUN_TIME:
                    self._run_min = 60 * _cgm_session.decode_run_time(octets)
                case _:
                    self._now = (_cgm_session.decode_status(octets), now_ms)
        except DecodeError as error:
            return (Reject(octets, str(error)),)
        return ()

    def _fetch(self, now_ms: int) -> Steps:
        """The session is known: ask for the records, and take those that have come."""
        self._interval_due_ms = None
        waiting, self._waiting = self._waiting, []
        steps = self._transfer.begin(now_ms)
        for octets in waiting:
            steps += self.value(_MEASUREMENT, octets, now_ms)
        return steps

    def _forget_link(self) -> None:
        self._waiting.clear()
        self._to_read.clear()
        self._interval_due_ms = None
        self._is_ready = False

    # -- records

    def _take_records(self, octets: bytes, now_ms: int) -> Steps:
        if not self._is_ready or self._interval_due_ms is not None:
            if len(self._waiting) < MOST_WAITING:  # the device gives again what finds no room
                self._waiting.append(octets)
            return ()
        steps: Steps = ()
        for record in records_in(octets):
            steps += self._record(record, now_ms)
        return steps

    def _record(self, octets: bytes, now_ms: int) -> Steps:
        offset = int.from_bytes(octets[_OFFSET], "little")
        try:
            record = decode_record(octets)
        except DecodeError as error:
            return self._spoilt(offset, octets, str(error), now_ms)
        if self._has_crc and not record.has_crc:
            return self._spoilt(offset, octets, f"{_MEASUREMENT}: its E2E-CRC is missing", now_ms)
        if not self._transfer.received(offset, mark_of(octets), now_ms):
            return ()
        is_overdue = self._run_min is not None and offset > self._run_min > 0
        flags = _STORED | (_OVERDUE if is_overdue else 0)
        reading = reading_of(record, self._time(offset), flags)
        name = self._start.octets + octets
        return (Fetched((reading,), name, self._age_ms(offset, now_ms)),)

    def _time(self, offset: int) -> DeviceTime | None:
        return None if self._start.time is None else shifted(self._start.time, offset)

    def _age_ms(self, offset: int, now_ms: int) -> int:
        """How old a record is by the device's count of minutes, where there is no time to say."""
        if self._start.time is not None or self._now is None:
            return 0
        minute, read_ms = self._now
        return max((minute - offset) * _MINUTE_MS + now_ms - read_ms, 0)
