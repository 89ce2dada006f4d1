"""The dialogue with a scale that has users: consent for one after another, on one link. Pure.

    link up -> consent of user 1 -> its values, until none came for a while -> consent of user 2 ...
            -> around again, until nothing came from anybody -> Done

A scale gives what it keeps of a user, and what it measures now of this user, while that user has
consented; the rest it keeps. Hence around again: who steps on the scale may be any of them.

1. A code that the scale calls wrong is not sent again: a device may lock out a user whose code is
   tried too often. The reason stands on the board until another process starts with another code.
   One that it took before is tried once more, on the next link.
2. Whose a value is, the scale says. A value without a user, or of user 255, has USER_UNKNOWN and
   belongs to nobody, whoever has consented. One that names a user whose consent was refused is
   rejected.
3. Nothing but consents is written: users are made and removed at the scale, by the person.

Source  Bluetooth UDS 1.1, 3.2; WSS 1.0.1 and BCS 1.0, 3.2 (user); the times are ours
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final

from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import Bookmarks, Done, Steps, Trouble, Write
from wardlight_edge.devices._user_data import (
    CHANGE_INCREMENT,
    CONTROL_POINT,
    Consent,
    Request,
    Response,
    Result,
    change_increment,
    consent,
    response,
)
from wardlight_edge.devices._user_values import Decode, UserValues
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Reading

ANSWER_MS: Final = 30_000
"""A scale that has not answered by then does not."""

QUIET_MS: Final = 4000
"""A user of whom nothing came for this long has nothing more for now."""

STAY_MS: Final = 20_000
"""A link on which nothing came of anybody for this long is done with."""

_NOBODY: Final = "the device gives the values of users who consent: list [[device.users]]"
_ONCE_MORE: Final = "the device does not take the code it took before; it is asked once more"
_WHY: Final[Mapping[Result, str]] = {
    Result.NOT_SUPPORTED: "the device takes no consent",
    Result.INVALID_PARAMETER: "the device knows no such user",
    Result.FAILED: "the device could not take the consent; it is asked again on the next link",
    Result.NOT_AUTHORISED: (
        "the device refuses the consent code: correct the code file and start the gateway again"
    ),
}


class _State(Enum):
    IDLE = auto()
    ASKING = auto()
    LISTENING = auto()
    OVER = auto()


class UserConsents:
    """Implements Dialogue.

    decode        decodes one value of ``measurements``
    measurements  characteristics that the scale's values come on
    consents      users in the order in which they are asked
    """

    def __init__(
        self, decode: Decode, measurements: frozenset[str], consents: tuple[Consent, ...]
    ) -> None:
        self.channels = measurements | {CONTROL_POINT, CHANGE_INCREMENT}
        self.kept: frozenset[str] = frozenset()
        self._values = UserValues(decode)
        self._consents = consents
        self._taken: set[int] = set()
        self._troubles: dict[int, str] = {}
        self._forget_link()

    def _forget_link(self) -> None:
        self._state = _State.IDLE
        self._turn_ms: int | None = None
        self._asked: Consent | None = None
        self._left: deque[Consent] = deque()
        self._failed: set[int] = set()
        self._heard_ms = 0
        self._values.restart()

    @property
    def bookmarks(self) -> Bookmarks:
        """The scale itself remembers what it has given."""
        return {}

    @property
    def deadline_ms(self) -> int | None:
        """When the turn of a user is over, or the second packet of a value."""
        due = (self._turn_ms, self._values.due_ms)
        return min((each for each in due if each is not None), default=None)

    def begin(self, now_ms: int) -> Steps:
        """Ask for the first user."""
        self._forget_link()
        self._heard_ms = now_ms
        if not self._consents:
            self._state = _State.LISTENING
            return (Trouble(_NOBODY),)
        self._left.extend(self._willing())
        return self._next(now_ms)

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A value of a person, or the answer to a consent."""
        try:
            if channel == CONTROL_POINT:
                return self._answered(response(octets), now_ms)
            if channel == CHANGE_INCREMENT:
                change_increment(octets)  # of the user's own data, none of which is kept here
                return ()
            self._heard_ms = now_ms
            if self._state is _State.LISTENING and self._turn_ms is not None:
                self._turn_ms = now_ms + QUIET_MS
            return self._values.take(channel, octets, now_ms)
        except DecodeError as error:
            return (Reject(octets, str(error)),)

    def written(self, channel: str, now_ms: int) -> Steps:
        """The answer comes as an indication."""
        del channel, now_ms
        return ()

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """A consent could not be written."""
        if channel != CONTROL_POINT or self._state is not _State.ASKING:
            return ()
        how = "has no user control point" if code is None else f"gives ATT error {code:#04x}"
        return self._fails(f"its consent cannot be asked for: the device {how}", now_ms)

    def tick(self, now_ms: int) -> Steps:
        """A turn may be over."""
        steps = self._values.tick(now_ms)
        if self._turn_ms is None or now_ms < self._turn_ms:
            return steps
        if self._state is _State.ASKING:
            seconds = ANSWER_MS // 1000
            return steps + self._fails(f"the device did not answer for {seconds} s", now_ms)
        return steps + self._next(now_ms)

    def committed(self) -> Steps:
        """Nothing waits for a commit."""
        return ()

    def link_lost(self) -> Steps:
        """A packet that was received is a value, even without the other one."""
        steps = self._values.left()
        self._forget_link()
        return steps

    # -- one user after another

    def _willing(self) -> list[Consent]:
        silent = self._values.refused | self._failed
        return [each for each in self._consents if each.user not in silent]

    def _next(self, now_ms: int) -> Steps:
        if not self._left:
            willing = self._willing()
            end_ms = self._heard_ms + STAY_MS
            if not willing or now_ms >= end_ms:
                return self._over()
            if willing == [self._asked]:
                self._turn_ms = end_ms  # nobody else is to be asked
                return ()
            self._left.extend(willing)
        self._asked = asked = self._left.popleft()
        self._state = _State.ASKING
        self._turn_ms = now_ms + ANSWER_MS
        return (Write(CONTROL_POINT, consent(asked.user, asked.code)),)

    def _answered(self, said: Response, now_ms: int) -> Steps:
        asked = self._asked
        if self._state is not _State.ASKING or said.request != Request.CONSENT or asked is None:
            return ()
        if said.result == Result.NOT_AUTHORISED and asked.user in self._taken:
            self._taken.discard(asked.user)
            return self._fails(_ONCE_MORE, now_ms)
        if said.result == Result.NOT_AUTHORISED:
            self._values.refuse(asked.user)
        if said.result != Result.SUCCESS:
            return self._fails(_WHY[said.result], now_ms)
        self._taken.add(asked.user)
        self._troubles.pop(asked.user, None)
        self._state = _State.LISTENING
        self._turn_ms = now_ms + QUIET_MS
        return ()

    def _fails(self, why: str, now_ms: int) -> Steps:
        """The user who was asked for gives nothing on this link."""
        if self._asked is not None:
            self._failed.add(self._asked.user)
            self._troubles[self._asked.user] = why
        self._asked = None
        steps = self._next(now_ms)
        return steps if isinstance(steps[0], Trouble) else (self._trouble(), *steps)

    def _trouble(self) -> Trouble:
        users: dict[str, list[int]] = {}
        for user, why in sorted(self._troubles.items()):
            users.setdefault(why, []).append(user)
        return Trouble("; ".join(f"{_named(those)}: {why}" for why, those in users.items()))

    def _over(self) -> Steps:
        self._state = _State.OVER
        self._turn_ms = None
        done = Done(self._values.given, is_whole=not self._troubles)
        return (self._trouble(), done) if self._troubles else (done,)


def _named(users: Sequence[int]) -> str:
    return f"user{'s' if len(users) > 1 else ''} {', '.join(map(str, users))}"


def _without_readings(decode: Callable[[bytes], object]) -> Callable[[bytes], tuple[()]]:
    def decode_it(value: bytes) -> tuple[()]:
        decode(value)
        return ()

    return decode_it


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    CONTROL_POINT: _without_readings(response),
    CHANGE_INCREMENT: _without_readings(change_increment),
}
"""What stands beside the measurements of such a scale; by themselves they have no readings."""
