"""The conversation with a ring that is asked for its live values, and for the files it stores.

1. One request is out at a time, since a reply does not say what it answers. Live values go first:
   a file is read only while no finger is in the ring.
2. A file is read block by block (_viatom_blocks.py); after the end of a link the next one goes on
   with the block that was due. Nothing is deleted, and nothing of the ring is set.
3. Each record of a file is an event of its own, named by the file, its place in it and its octets.
   A second that was measured live is left out (Coverage).
4. A file counts as read when its last record is in the outbox. One that cannot be decoded is read
   a second time, then kept aside once, with its size, and read again when it has another.

Source  MackeyStingray/o2r, o2state.py (order of requests); the times and limits are ours
"""

from collections import deque
from enum import Enum, auto
from typing import Final

from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import (
    Bookmark,
    Bookmarks,
    ClockShown,
    Done,
    Fetched,
    Passed,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.devices._stored_records import ONLY
from wardlight_edge.devices._viatom_blocks import FileOnItsWay, Fit, Numbering
from wardlight_edge.devices._viatom_coverage import Coverage
from wardlight_edge.devices._viatom_frames import (
    LIVE_OCTETS,
    REPLY,
    WRITE,
    Info,
    Reply,
    ReplyAssembler,
    ask_info,
    ask_live,
    close_file,
    info_of,
    open_file,
    pieces,
    read_block,
    reply_of,
)
from wardlight_edge.devices._viatom_record import MOST_FILE, FileRecord, records_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.timestamps import device_seconds

ANSWER_MS: Final = 5000
INFO_EVERY_MS: Final = 60_000
REFUSED_MS: Final = 10_000
MOST_TRIES: Final = 3
EVENTS_A_COMMIT: Final = 60
_LIVE: Final = "live"
_FINGER_AT: Final = 11
_SILENT: Final = "the ring does not answer while a file is read"


class _Asked(Enum):
    NOTHING = auto()
    INFO = auto()
    LIVE = auto()
    OPEN = auto()
    BLOCK = auto()
    CLOSE = auto()


class RingFiles:
    """Implements Dialogue for one ring; ``every_ms`` is the distance of two live requests."""

    def __init__(self, bookmarks: Bookmarks, every_ms: int) -> None:
        self.channels: frozenset[str] = frozenset({REPLY})
        self.kept: frozenset[str] = frozenset()
        self.deadline_ms: int | None = None
        self._every_ms = every_ms
        self._read = list(bookmarks.get(ONLY, Bookmark()).known)
        self._coverage = Coverage(bookmarks.get(_LIVE, Bookmark()).known)
        self._assembler = ReplyAssembler()
        self._asked = _Asked.NOTHING
        self._tries = 0
        self._clock: tuple[int, int] | None = None
        self._info_due_ms = self._live_due_ms = 0
        self._is_worn = False
        self._wanted: list[str] = []
        self._unchanged: set[str] = set()
        self._file: FileOnItsWay | None = None
        self._numbering = Numbering()
        self._undecoded = ""
        self._events: deque[Fetched] = deque()
        self._ending: str | None = None
        self._records = 0
        self._is_told = False

    @property
    def bookmarks(self) -> Bookmarks:
        """The files that are in the outbox, and what was measured live."""
        found = {
            ONLY: Bookmark(known=tuple(self._read)),
            _LIVE: Bookmark(known=self._coverage.kept()),
        }
        return {name: bookmark for name, bookmark in found.items() if bookmark.known}

    def begin(self, now_ms: int) -> Steps:
        """Ask for clock and files, then for live values."""
        self._assembler = ReplyAssembler()
        self._asked = _Asked.NOTHING
        self._records, self._is_told, self._is_worn = 0, False, False
        self._clock = None
        self._unchanged.clear()
        self._info_due_ms = self._live_due_ms = now_ms
        return self._ask(_Asked.INFO, ask_info(), now_ms)

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A piece of a reply."""
        try:
            whole = self._assembler.take(channel, octets)
            if whole is None:
                return ()
            return self._replied(whole, reply_of(whole), now_ms)
        except DecodeError as error:
            self._assembler = ReplyAssembler()
            return (Reject(octets, str(error)),)

    def written(self, channel: str, now_ms: int) -> Steps:
        """The reply comes as notifications."""
        del channel, now_ms
        return ()

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """A request was not taken: say so, and ask again after a while."""
        self._asked = _Asked.NOTHING
        self._live_due_ms = self.deadline_ms = now_ms + REFUSED_MS
        why = "lacks it or is silent" if code is None else f"refused with ATT error {code:#04x}"
        return (Trouble(f"{channel}: the ring {why}"),)

    def tick(self, now_ms: int) -> Steps:
        """The next request is due, or the last one was not answered."""
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return ()
        if self._asked in {_Asked.OPEN, _Asked.BLOCK}:
            return self._unanswered(now_ms)
        if self._asked is _Asked.INFO:
            self._info_due_ms = now_ms + INFO_EVERY_MS
        self._asked = _Asked.NOTHING
        return self._next(now_ms)

    def committed(self) -> Steps:
        """Everything so far is in the outbox: give more of the file, or note that it is read."""
        if self._events:
            count = min(EVENTS_A_COMMIT, len(self._events))
            return tuple(self._events.popleft() for _ in range(count))
        if self._ending is not None:
            self._read.append(self._ending)
            self._ending = None
        return ()

    def link_lost(self) -> Steps:
        """What was read of a file is kept; the next link goes on."""
        self._asked = _Asked.NOTHING
        self.deadline_ms = None
        self._coverage.interrupted()
        return ()

    # -- what the ring says

    def _replied(self, whole: bytes, reply: Reply, now_ms: int) -> Steps:
        asked = self._asked
        if asked is not _Asked.BLOCK and len(reply.data) == LIVE_OCTETS:
            return self._live(whole, reply, now_ms)
        if asked in {_Asked.NOTHING, _Asked.LIVE}:
            return ()  # late: what it answers was given up
        if asked is _Asked.BLOCK:
            return self._block(reply, now_ms)
        self._asked = _Asked.NOTHING
        if asked is _Asked.CLOSE:
            return self._next(now_ms)
        if asked is _Asked.OPEN:
            return self._opened(reply, now_ms)
        self._info_due_ms = now_ms + INFO_EVERY_MS
        if reply.result:
            trouble = Trouble(f"the ring does not say what it has (code {reply.result})")
            return (trouble, *self._next(now_ms))
        return (*self._heard_of(info_of(reply.data), now_ms), *self._next(now_ms))

    def _live(self, whole: bytes, reply: Reply, now_ms: int) -> Steps:
        self._is_worn = bool(reply.data[_FINGER_AT])
        if not self._is_worn:
            self._coverage.interrupted()
        elif self._clock is not None:
            shown_s, at_ms = self._clock
            self._coverage.measured(shown_s + (now_ms - at_ms) // 1000)
        if self._asked in {_Asked.OPEN, _Asked.CLOSE}:
            return (Passed(whole),)
        if self._asked is _Asked.INFO:  # late, or from a ring that does not know INFO
            self._info_due_ms = now_ms + INFO_EVERY_MS
        self._asked = _Asked.NOTHING
        return (Passed(whole), *self._next(now_ms))

    def _heard_of(self, info: Info, now_ms: int) -> Steps:
        names = {each.partition(":")[0]: each for each in self._read}
        self._read = [each for name, each in names.items() if name in info.files]
        settled = {*self._read, *self._unchanged, self._ending}
        self._wanted = [name for name in info.files if name not in settled]
        self._is_told = self._is_told and not self._wanted
        if self._file is not None and self._file.name not in self._wanted:
            self._file = None
        if info.clock is None or (seconds := device_seconds(info.clock)) is None:
            self._clock = None
            return ()
        self._clock = seconds, now_ms
        return (ClockShown(info.clock),)

    # -- what comes next

    def _next(self, now_ms: int) -> Steps:
        """Nothing is out: the request that is due now; else wait for the next."""
        if now_ms >= self._live_due_ms:
            self._live_due_ms = now_ms + self._every_ms
            return self._ask(_Asked.LIVE, ask_live(), now_ms)
        steps = self._next_of_files(now_ms)
        if self._asked is _Asked.NOTHING:
            self.deadline_ms = self._live_due_ms
        return steps

    def _next_of_files(self, now_ms: int) -> Steps:
        if self._is_worn or self._events or self._ending is not None:
            return ()
        if now_ms >= self._info_due_ms:
            return self._ask(_Asked.INFO, ask_info(), now_ms)
        if self._wanted:
            name = self._wanted[0]
            if self._file is None or self._file.name != name:
                self._file = FileOnItsWay(name)
            return self._ask(_Asked.OPEN, open_file(name), now_ms)
        if self._is_told:
            return ()
        self._is_told = True
        return (Done(self._records),)

    def _ask(self, asked: _Asked, request: bytes, now_ms: int) -> Steps:
        if asked is not self._asked:
            self._tries = 0
        self._asked = asked
        self.deadline_ms = now_ms + ANSWER_MS
        return tuple(Write(WRITE, piece) for piece in pieces(request))

    def _unanswered(self, now_ms: int) -> Steps:
        self._tries += 1
        if self._tries >= MOST_TRIES or self._file is None:
            return self._give_up(_SILENT, now_ms)
        if self._asked is _Asked.OPEN:
            return self._ask(_Asked.OPEN, open_file(self._file.name), now_ms)
        if self._numbering.is_there is False:
            return self._give_up(_SILENT, now_ms)
        return self._ask(_Asked.BLOCK, read_block(self._file.block), now_ms)

    # -- a file

    def _opened(self, reply: Reply, now_ms: int) -> Steps:
        file = self._file
        size = int.from_bytes(reply.data, "little")
        if file is None or reply.result or len(reply.data) != 4:
            return self._give_up(f"the ring does not open a file (code {reply.result})", now_ms)
        if not 0 < size <= MOST_FILE:
            return self._give_up(f"the ring has a file of {size} bytes", now_ms)
        if f"{file.name}:{size}" in self._read:  # it could not be decoded, and has not changed
            self._unchanged.add(file.name)
            return self._close(now_ms)
        if file.size != size:
            self._file = file = FileOnItsWay(file.name, size)
        return self._ask(_Asked.BLOCK, read_block(file.block), now_ms)

    def _block(self, reply: Reply, now_ms: int) -> Steps:
        file = self._file
        if file is None or reply.result or not reply.data:
            return self._give_up(f"the ring does not read a file (code {reply.result})", now_ms)
        fit = self._numbering.fit(file, reply)
        if fit is Fit.LATE:
            return ()
        if fit is Fit.ANEW:
            self._file = FileOnItsWay(file.name, file.size)
            return self._ask(_Asked.BLOCK, read_block(0), now_ms)
        if file.is_whole:
            self._file = None
            return self._whole(file, now_ms)
        if self._tries and self._numbering.is_there is False:  # the second answer may yet come
            return self._give_up(_SILENT, now_ms)
        self._asked = _Asked.NOTHING
        return self._ask(_Asked.BLOCK, read_block(file.block), now_ms)

    def _close(self, now_ms: int, name: str = "") -> Steps:
        """Nothing more is to be read of this file now."""
        name = name or ("" if self._file is None else self._file.name)
        self._wanted = [each for each in self._wanted if each != name]
        return self._ask(_Asked.CLOSE, close_file(), now_ms)

    def _give_up(self, reason: str, now_ms: int) -> Steps:
        """Not this file now; what came of it is kept, and the others still come."""
        self._is_told = True
        return (Trouble(reason), Done(self._records, is_whole=False), *self._close(now_ms))

    def _whole(self, file: FileOnItsWay, now_ms: int) -> Steps:
        try:
            records = records_of(file.octets)
        except DecodeError as error:
            if self._undecoded != file.name:  # blocks may have been mixed up on their way
                self._undecoded = file.name
                return self._ask(_Asked.CLOSE, close_file(), now_ms)
            self._read.append(f"{file.name}:{file.size}")
            return (Reject(file.octets, str(error)), *self._close(now_ms, file.name))
        fresh = [
            Fetched(record.readings, f"{file.name}:{place}:".encode() + record.octets)
            for place, record in enumerate(records)
            if not self._is_covered(record)
        ]
        self._events += fresh
        self._records += len(fresh)
        self._ending = file.name
        return self._close(now_ms, file.name)

    def _is_covered(self, record: FileRecord) -> bool:
        time = record.readings[0].time
        second = None if time is None else device_seconds(time)
        return second is not None and self._coverage.holds(second)
