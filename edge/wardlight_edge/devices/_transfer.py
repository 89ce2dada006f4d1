"""All records of a device's memory by its Record Access Control Point, over any number of links.

Which records are there is never taken on trust, since a link loses what was notified last and a
memory can be cleared or overrun between two links:

1. Count, then report. A transfer that brought fewer than were counted is repeated.
2. After the end of a link go on from the highest number that came. What came before it counts as
   whole only where its numbers have no gap and all of it is as many as were counted; else a whole
   transfer follows.
3. "From the last record" is asked with that record, not after it: it must come again, the same. If
   it does not, the memory was cleared, and everything is asked for.
4. A count that never fits the records (a device counts what it does not send) is overruled by
   whole transfers that bring the same again and again.
5. The bookmark moves only with a whole transfer, and only after it is committed.

Source  Bluetooth GLP 1.0.1, 5.5 (Record Access); the numbers of ``MOST_TRIES`` and so on are ours
"""

from enum import Enum, auto
from typing import Final

from wardlight_edge.devices._dialogue import Bookmark, Done, Steps, Trouble, Write
from wardlight_edge.devices._racp import (
    BUSY,
    CHANNEL,
    NOT_BY_NUMBER,
    NOT_SWITCHED_ON,
    Code,
    Count,
    Op,
    Operator,
    abort,
    answer,
    count,
    report,
)

TIMEOUT_MS: Final = 30_000  # GLP 5.5: since the request, or since the last record
PAUSE_MS: Final = 2000
MOST_TRIES: Final = 4
SAME_UNCOUNTED: Final = 2
SAME_AGAINST_COUNT: Final = 3
_NEAR_WRAP: Final = 0xFF00  # numbers are 16 bit: near the end everything is asked for


class _State(Enum):
    IDLE = auto()
    COUNTING = auto()
    REPORTING = auto()
    ABORTING = auto()
    PAUSING = auto()
    OVER = auto()


Key = int | str
"""What a record is known by: its number, or its fingerprint where it has none."""


class Transfer:
    """Brings all records of one memory; the owner decodes them and says which came.

    numbered   the records have numbers, and the device may be asked by them
    asks_all   False: everything is asked for as "from number 0" (Contour)
    """

    def __init__(self, bookmark: Bookmark, *, numbered: bool = True, asks_all: bool = True) -> None:
        self.bookmark = bookmark
        """What may be kept: it tells of committed records alone."""
        self.step = 1
        """From one number to the next, where nothing is missing."""
        self.deadline_ms: int | None = None
        self._fresh: Bookmark | None = None
        self._is_numbered = self._can_filter = numbered
        self._asks_all = asks_all
        self._can_count = True
        self._state = _State.IDLE
        self._given: set[tuple[Key, str]] = set()
        self._known = frozenset(bookmark.known)
        self._records = 0
        self._tries = 0
        self._resume: int | None = None
        self._forget_round()

    # -- what the owner tells

    def begin(self, now_ms: int) -> Steps:
        """A link is up."""
        self._records = self._tries = 0
        self._state = _State.IDLE
        return self._ask(now_ms)

    def heard(self, now_ms: int) -> None:
        """Something of a record came: the device is at it."""
        if self._state is _State.REPORTING:
            self.deadline_ms = now_ms + TIMEOUT_MS

    def received(self, number: int | None, mark: str, now_ms: int) -> bool:
        """A record came; True: it is not known yet and must be given to the outbox."""
        self.heard(now_ms)
        key: Key = mark if number is None else number
        if self._got.get(key, mark) != mark:
            self._is_cleared = True
        self._got[key] = self._passed[key] = mark
        if self._state is _State.OVER and self._is_whole and number is not None:
            self._follow(number, mark)
        if (key, mark) in self._given or self._is_behind(number, mark):
            return False
        self._given.add((key, mark))
        self._records += 1
        return True

    def answered(self, value: bytes, now_ms: int) -> Steps:
        """An indication of the control point. DecodeError: it is no answer."""
        said = answer(value)
        if isinstance(said, Count):
            return self._counted(said.number, now_ms) if self._state is _State.COUNTING else ()
        if self._state is _State.COUNTING and said.request == Op.COUNT:
            return self._not_counted(said.code, now_ms)
        if self._state is _State.REPORTING and said.request == Op.REPORT:
            return self._reported(said.code, now_ms)
        if self._state is _State.ABORTING and said.request == Op.ABORT:
            return self._pause(now_ms)
        return ()

    def refused(self, code: int | None, now_ms: int) -> Steps:
        """The write of a request failed."""
        if code in BUSY and self._state is not _State.ABORTING and self._may_try():
            self._state = _State.ABORTING
            self.deadline_ms = now_ms + TIMEOUT_MS
            return (Write(CHANNEL, abort()),)
        if code in BUSY and self._may_try():
            return self._pause(now_ms)
        if code in NOT_SWITCHED_ON:
            return self._give_up("the device does not see its notifications switched on")
        reason = "has no record access" if code is None else f"refuses it (ATT error {code:#04x})"
        return self._give_up(f"its records cannot be asked for: the device {reason}")

    def tick(self, now_ms: int) -> Steps:
        """Time has passed."""
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return ()
        if self._state is _State.PAUSING:
            return self._ask(now_ms)
        if self._state is _State.REPORTING and self._is_counted():
            return self._passed_whole(now_ms)  # the indication was lost, the records were not
        if self._state is _State.COUNTING:
            self._can_count = False  # on the next link it is not asked
        seconds = TIMEOUT_MS // 1000
        return self._give_up(f"the device was silent for {seconds} s while sending its records")

    def committed(self) -> None:
        """Every record that was new is in the outbox."""
        if self._fresh is not None:
            self.bookmark, self._fresh = self._fresh, None

    def link_lost(self) -> None:
        """The link is over; the next one goes on after what came."""
        self._state = _State.IDLE
        self.deadline_ms = None
        numbers = self._numbers()
        self._resume = max(numbers) if numbers else None

    # -- one round: count, report, and again until it is whole

    def _forget_round(self) -> None:
        """Begin from the bookmark."""
        number = self.bookmark.number
        if not self._can_filter or (number is not None and number >= _NEAR_WRAP):
            number = None
        self._since = number
        self._from: int | None = None
        self._got: dict[Key, str] = {} if number is None else {number: self.bookmark.mark}
        self._passed: dict[Key, str] = {}
        self._before: dict[Key, str] | None = None
        self._same = 0
        self._count: int | None = None
        self._is_cleared = False
        self._is_whole = False

    def _ask(self, now_ms: int) -> Steps:
        if not self._can_count:
            self._count = None
            return self._report(now_ms)
        self._state = _State.COUNTING
        self.deadline_ms = now_ms + TIMEOUT_MS
        return (Write(CHANNEL, count(*self._range(self._since))),)

    def _counted(self, number: int, now_ms: int) -> Steps:
        self._count = number
        return self._report(now_ms) if number else self._empty(now_ms)

    def _not_counted(self, code: int, now_ms: int) -> Steps:
        if code == Code.NO_RECORDS:
            return self._counted(0, now_ms)
        self._count = None
        if code not in NOT_BY_NUMBER or self._since is None:
            self._can_count = False
        return self._report(now_ms)

    def _report(self, now_ms: int) -> Steps:
        self._from = self._since if self._resume is None else self._resume
        self._resume = None
        self._passed = {}
        self._state = _State.REPORTING
        self.deadline_ms = now_ms + TIMEOUT_MS
        return (Write(CHANNEL, report(*self._range(self._from))),)

    def _range(self, number: int | None) -> tuple[Operator, int | None]:
        if number is not None and self._can_filter:
            return Operator.FROM, number
        return (Operator.ALL, None) if self._asks_all else (Operator.FROM, 0)

    def _reported(self, code: int, now_ms: int) -> Steps:
        if code == Code.SUCCESS:
            return self._passed_whole(now_ms)
        if code == Code.NO_RECORDS:
            return self._empty(now_ms)
        if code in NOT_BY_NUMBER and self._tries < MOST_TRIES:
            if self._from is None and self._is_numbered:
                self._asks_all = not self._asks_all  # neither way twice: the tries are counted
            else:
                self._can_filter = False
            return self._from_nothing(now_ms)
        if code == Code.NOT_COMPLETED and self._may_try():
            self.link_lost()
            return self._report(now_ms)
        return self._give_up(f"the device did not send its records (response code {code})")

    def _passed_whole(self, now_ms: int) -> Steps:
        """The device has sent all that was asked for; see whether it came."""
        if self._is_cleared or not self._is_anchored():
            return self._from_nothing(now_ms)
        if self._from == self._since:
            self._same = self._same + 1 if self._passed == self._before else 1
            self._before = self._passed
        enough = SAME_UNCOUNTED if self._count is None else SAME_AGAINST_COUNT
        if self._is_counted() or self._same >= enough:
            return self._whole()
        if self._may_try():
            return self._report(now_ms)
        return self._give_up("the device counts more records than it sends")

    def _is_anchored(self) -> bool:
        """Whether the record that was asked from came again, the same."""
        return self._from is None or self._passed.get(self._from) == self._got[self._from]

    def _is_counted(self) -> bool:
        """Whether what came is all there is, as far as counts and numbers can say."""
        if self._from != self._since:
            return self._count is not None and len(self._got) >= self._count and self._is_gapless()
        if self._count is None:
            return self._is_gapless()
        return len(self._passed) >= self._count

    def _is_gapless(self) -> bool:
        numbers = self._numbers()
        if len(numbers) != len(self._got):
            return False
        return not numbers or max(numbers) - min(numbers) == (len(numbers) - 1) * self.step

    def _numbers(self) -> list[int]:
        return [key for key in self._got if isinstance(key, int)]

    def _empty(self, now_ms: int) -> Steps:
        """There is nothing in the range: a cleared memory, or an empty one."""
        if self._since is not None or self._from is not None:
            return self._from_nothing(now_ms)
        self._got = self._passed = {}
        return self._whole()

    def _from_nothing(self, now_ms: int) -> Steps:
        """What was asked from is no longer there, or cannot be asked from: ask for everything."""
        if not self._may_try():
            return self._give_up("the memory of the device changes while it is read")
        self._forget_round()
        self._since, self._got = None, {}
        return self._ask(now_ms)

    def _whole(self) -> Steps:
        self._fresh = self._bookmark()
        self._is_whole = True
        self._state = _State.OVER
        self.deadline_ms = None
        self._since = self._fresh.number
        self._got = {} if self._since is None else {self._since: self._fresh.mark}
        self._before, self._same = None, 0
        return (Done(self._records),)

    def _bookmark(self) -> Bookmark:
        run = self.bookmark.run
        if not self._is_numbered:
            self._known = frozenset(self._passed.values())
            return Bookmark(run=run, known=tuple(self._passed.values()))
        numbers = self._numbers()
        if not numbers or max(numbers) >= _NEAR_WRAP:
            return Bookmark(run=run)
        return Bookmark(max(numbers), self._got[max(numbers)], run)

    def _follow(self, number: int, mark: str) -> None:
        """A record came by itself after a whole transfer: nothing is missing before it."""
        newest = self._fresh or self.bookmark
        if number < _NEAR_WRAP and (newest.number is None or number > newest.number):
            self._fresh = Bookmark(number, mark, newest.run)
            self._since, self._got = number, {number: mark}

    def _is_behind(self, number: int | None, mark: str) -> bool:
        if number is None:
            return mark in self._known
        return number == self.bookmark.number and mark == self.bookmark.mark

    # -- trouble

    def _may_try(self) -> bool:
        self._tries += 1
        return self._tries <= MOST_TRIES

    def _pause(self, now_ms: int) -> Steps:
        self._state = _State.PAUSING
        self.deadline_ms = now_ms + PAUSE_MS
        return ()

    def _give_up(self, reason: str) -> Steps:
        self.link_lost()
        self._state = _State.OVER
        return Trouble(reason), Done(self._records, is_whole=False)
