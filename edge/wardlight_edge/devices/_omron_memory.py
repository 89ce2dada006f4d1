"""The conversation with an Omron cuff: unlock it, read its memory, change nothing in it.

1. The cuff opens to a key. One that knows ours takes it at once. Another learns it while its
   display blinks -P-, which only a person at the cuff can start; that is all it ever takes from
   us. Its marks of what was read stay as they are: a phone still finds its records unread.
2. The counters tell whether anything was measured since all of it was read: if not, the cuff is
   left alone. Then come its clock, and every slot: a ring has no end to ask from.
3. After the end of a link the next one goes on with the slot that was due, unless the counters
   have moved; then it begins anew.
4. A record is known by its user and its octets. The bookmark holds those of the memory as it was
   when it was last read whole, and follows their commit.

Source  userx14/omblepy, omblepy.py and sharedDriver.py (order, tries); the times are ours
"""

from enum import Enum, auto
from typing import Final

from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import (
    KEY,
    Bookmark,
    Bookmarks,
    ClockShown,
    Done,
    Fetched,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.devices._omron_frames import (
    BEGUN,
    ENDED,
    FROM_CUFF,
    GIVEN,
    TO_CUFF,
    UNLOCK,
    Joiner,
    Reply,
    begin,
    end,
    give_key,
    read,
    result_of,
    take_key,
    use_key,
)
from wardlight_edge.devices._omron_models import Layout
from wardlight_edge.devices._omron_record import clock_of, is_empty, readings_of
from wardlight_edge.devices._stored_records import ONLY, mark_of
from wardlight_shared.errors import DecodeError

ANSWER_MS: Final = 2000
PAUSE_MS: Final = 1000
MOST_TRIES: Final = 5
MOST_ASKS_FOR_KEY: Final = 10
_KNOWS_IT: Final = "known"
_NO_KEY: Final = "no key could be kept for this cuff: see the log, the disk may be full"
_CLOSED: Final = (
    "the cuff does not know this gateway: hold its Bluetooth button until -P- blinks, then wait"
)


class _State(Enum):
    OVER = auto()
    UNLOCKING = auto()
    ASKING = auto()  # the cuff is asked to learn the key
    TEACHING = auto()
    BEGINNING = auto()
    COUNTERS = auto()
    CLOCK = auto()
    SLOTS = auto()
    ENDING = auto()


Place = tuple[int, int, int]
"""User, from 0; first slot and number of slots."""


class OmronMemory:
    """Implements Dialogue for one cuff.

    model  for messages; layout  where it keeps what
    """

    def __init__(self, model: str, layout: Layout, bookmarks: Bookmarks) -> None:
        self.channels: frozenset[str] = frozenset({UNLOCK, *FROM_CUFF})
        self.kept: frozenset[str] = self.channels
        self.deadline_ms: int | None = None
        self._model = model
        self._layout = layout
        self._key = bookmarks.get(KEY, Bookmark())
        self._bookmark = bookmarks.get(ONLY, Bookmark())
        self._fresh: Bookmark | None = None
        self._given = set(self._bookmark.known)
        self._state = _State.OVER
        self._joiner = Joiner()
        self._request = Write(UNLOCK, b"")
        self._tries = 0
        self._has_tried_key = False
        self._counters = ""
        self._seen: list[str] = []
        self._due: list[Place] = []
        self._records = 0

    @property
    def bookmarks(self) -> Bookmarks:
        """The key, and what is known to be in the outbox."""
        found = {KEY: self._key, ONLY: self._bookmark}
        return {name: bookmark for name, bookmark in found.items() if bookmark != Bookmark()}

    def begin(self, now_ms: int) -> Steps:
        """Unlock the cuff, or teach it the key."""
        self._records = 0
        self._has_tried_key = False
        self._joiner = Joiner()
        if not self._key.mark:
            return self._give_up(_NO_KEY)
        return self._unlock(now_ms) if self._key.run == _KNOWS_IT else self._ask_to_learn(now_ms)

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """An answer of the lock, or a piece of a reply."""
        if channel == UNLOCK:
            return self._answered(octets, now_ms)
        try:
            reply = self._joiner.take(channel, octets)
        except DecodeError as error:
            return (Reject(octets, str(error)),)
        return () if reply is None else self._replied(reply, now_ms)

    def written(self, channel: str, now_ms: int) -> Steps:
        """The reply comes as notifications."""
        del channel, now_ms
        return ()

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """A request was not taken: it is made again after a while, if the cuff has it at all."""
        if self._state is _State.OVER:
            return ()
        if code is None:
            return self._give_up(f"{channel}: the cuff has no such characteristic, or is silent")
        self.deadline_ms = now_ms + PAUSE_MS
        return ()

    def tick(self, now_ms: int) -> Steps:
        """The cuff may have fallen silent."""
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return ()
        if self._state is _State.ENDING:
            return self._over()  # everything is here; that the cuff says so is a courtesy
        self._tries += 1
        most = MOST_ASKS_FOR_KEY if self._state is _State.ASKING else MOST_TRIES
        if self._tries < most:
            return self._say(self._request, now_ms)
        if self._state is _State.ASKING:
            return self._not_learning(now_ms)
        return self._give_up(f"the cuff did not answer {MOST_TRIES} times")

    def committed(self) -> Steps:
        """The bookmark follows what is in the outbox."""
        if self._fresh is not None:
            self._bookmark, self._fresh = self._fresh, None
        return ()

    def link_lost(self) -> Steps:
        """The next link goes on with the slot that was due."""
        self._state = _State.OVER
        self.deadline_ms = None
        return ()

    # -- the lock

    def _unlock(self, now_ms: int) -> Steps:
        self._has_tried_key = True
        return self._ask(_State.UNLOCKING, UNLOCK, use_key(self._octets_of_key()), now_ms)

    def _ask_to_learn(self, now_ms: int) -> Steps:
        return self._ask(_State.ASKING, UNLOCK, take_key(), now_ms)

    def _not_learning(self, now_ms: int) -> Steps:
        """Its display does not blink; it may know the key all the same (a kill after teaching)."""
        return self._give_up(_CLOSED) if self._has_tried_key else self._unlock(now_ms)

    def _answered(self, octets: bytes, now_ms: int) -> Steps:
        result = result_of(octets, self._request.octets) if self._is_at_lock() else None
        if result is None:
            return ()
        if self._state is _State.ASKING:
            if result == 0:
                key = self._octets_of_key()
                return self._ask(_State.TEACHING, UNLOCK, give_key(key), now_ms)
            self.deadline_ms = now_ms + PAUSE_MS  # it may, once the link is secure
            return ()
        if result == 0:
            self._key = Bookmark(mark=self._key.mark, run=_KNOWS_IT)
            return self._ask(_State.BEGINNING, TO_CUFF, begin(), now_ms)
        if self._state is _State.UNLOCKING and self._key.run == _KNOWS_IT:
            self._key = Bookmark(mark=self._key.mark)
            return self._ask_to_learn(now_ms)
        return self._give_up(_CLOSED)

    def _is_at_lock(self) -> bool:
        return self._state in {_State.UNLOCKING, _State.ASKING, _State.TEACHING}

    def _octets_of_key(self) -> bytes:
        return bytes.fromhex(self._key.mark)

    # -- the memory

    def _replied(self, reply: Reply, now_ms: int) -> Steps:
        match self._state:
            case _State.BEGINNING if reply.kind == BEGUN and not reply.result:
                return self._read(_State.COUNTERS, *self._layout.index, now_ms)
            case _State.COUNTERS | _State.CLOCK | _State.SLOTS if self._is_awaited(reply):
                return self._given_memory(reply.data, now_ms)
            case _State.ENDING if reply.kind == ENDED:
                return self._over()
            case _ if reply.result:
                return self._give_up(f"the cuff closes its memory with code {reply.result}")
        return ()  # a late answer to what was asked twice

    def _is_awaited(self, reply: Reply) -> bool:
        asked = int.from_bytes(self._request.octets[3:5], "big")
        return reply.kind == GIVEN and reply.address == asked and not reply.result

    def _given_memory(self, data: bytes, now_ms: int) -> Steps:
        if self._state is _State.COUNTERS:
            return self._counted(mark_of(data) if data else "", now_ms)
        if self._state is _State.CLOCK:
            time = clock_of(data, self._layout)
            shown: Steps = () if time is None else (ClockShown(time),)
            return (*shown, *self._next(now_ms))
        user, first, count = self._due.pop(0)
        steps: Steps = ()
        size = self._layout.record
        for place in range(count):
            slot = data[place * size : (place + 1) * size]
            steps += self._slot(user, first + place, slot)
        return (*steps, *self._next(now_ms))

    def _counted(self, counters: str, now_ms: int) -> Steps:
        if counters and counters == self._bookmark.mark and not self._due:
            return self._ask(_State.ENDING, TO_CUFF, end(), now_ms)
        if counters != self._counters or not self._due:
            self._counters, self._seen, self._due = counters, [], _places(self._layout)
        return self._read(_State.CLOCK, *self._layout.clock, now_ms)

    def _next(self, now_ms: int) -> Steps:
        if self._due:
            user, first, count = self._due[0]
            size = self._layout.record
            address = self._layout.users[user] + first * size
            return self._read(_State.SLOTS, address, count * size, now_ms)
        self._fresh = Bookmark(mark=self._counters, known=tuple(self._seen))
        self._given = set(self._seen)
        return self._ask(_State.ENDING, TO_CUFF, end(), now_ms)

    def _slot(self, user: int, place: int, octets: bytes) -> Steps:
        """One slot; what the cuff gave nothing for was never written."""
        if is_empty(octets):
            return ()
        name = bytes([user]) + octets
        mark = mark_of(name)
        self._seen.append(mark)
        if mark in self._given:
            return ()
        self._given.add(mark)
        try:
            index = None if self._layout.is_one_user else user + 1
            readings = readings_of(octets, self._layout, self._model, index)
        except DecodeError as error:
            return (Reject(octets, f"{error}, user {user + 1}, slot {place}"),)
        self._records += 1
        return (Fetched(readings, name),)

    # -- asking

    def _read(self, state: _State, address: int, size: int, now_ms: int) -> Steps:
        return self._ask(state, TO_CUFF, read(address, size), now_ms)

    def _ask(self, state: _State, channel: str, octets: bytes, now_ms: int) -> Steps:
        self._state = state
        self._tries = 0
        return self._say(Write(channel, octets), now_ms)

    def _say(self, request: Write, now_ms: int) -> Steps:
        self._request = request
        self.deadline_ms = now_ms + ANSWER_MS
        return (request,)

    def _over(self) -> Steps:
        self.link_lost()
        return (Done(self._records),)

    def _give_up(self, reason: str) -> Steps:
        self.link_lost()
        return Trouble(reason), Done(self._records, is_whole=False)


def _places(layout: Layout) -> list[Place]:
    return [
        (user, first, min(layout.block, layout.slots - first))
        for user in range(len(layout.users))
        for first in range(0, layout.slots, layout.block)
    ]
