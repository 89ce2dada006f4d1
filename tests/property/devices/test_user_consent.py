"""Whatever a scale does: only consents are asked, a refused code never again, no value is lost."""

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices import (
    Consent,
    Dialogue,
    Fetched,
    Reject,
    Trouble,
    Write,
    weight_scale,
)
from wardlight_edge.devices._dialogue import Step
from wardlight_shared.model import Flag

CONSENTS = tuple(Consent(user, 1000 + user) for user in (1, 2, 3))
CODES = {each.user: each.code for each in CONSENTS}
CONTROL = "0x2A9F"
REFUSED = re.compile(r"users? ([\d, ]+): the device refuses")


def _weight(user: int | None, steps: int) -> bytes:
    head = bytes([0 if user is None else 4]) + steps.to_bytes(2, "little")
    return head + bytes([] if user is None else [user])


USERS = st.none() | st.sampled_from([1, 2, 3, 4, 255])
ACTIONS = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 6)),
    st.tuples(st.just("weight"), st.tuples(USERS, st.integers(1, 60_000))),
    st.tuples(st.just("noise"), st.binary(max_size=8)),
    st.tuples(st.just("refused"), st.sampled_from([None, 0x80, 0xFD])),
    st.tuples(st.just("wait"), st.sampled_from([1, 900, 5000, 31_000])),
    st.tuples(st.just("link"), st.none()),
)


class Watched:
    """A dialogue and what it may do next."""

    def __init__(self) -> None:
        self.dialogue: Dialogue = weight_scale.consent_dialogue({}, CONSENTS)
        self.now_ms = 0
        self.refused: set[int] = set()
        self.taken = 0

    def check(self, steps: Iterable[Step]) -> None:
        """Follow what it asks for, count what it gives."""
        for step in steps:
            match step:
                case Write(channel, octets):
                    user, code = octets[1], int.from_bytes(octets[2:], "little")
                    assert (channel, octets[0], len(octets)) == (CONTROL, 2, 4)
                    assert CODES[user] == code
                    assert user not in self.refused, "a refused code is not tried again"
                case Trouble(reason):
                    for users in REFUSED.findall(reason):
                        self.refused |= {int(each) for each in users.split(", ")}
                case Fetched(readings, _):
                    self.taken += 1
                    for reading in readings:
                        assert reading.user not in self.refused
                        is_unknown = bool(reading.flags & Flag.USER_UNKNOWN)
                        assert is_unknown == (reading.user is None)
                case Reject():
                    self.taken += 1

    def do(self, action: str, what: object) -> int:
        """One thing happens; returns how many values came."""
        dialogue, now_ms = self.dialogue, self.now_ms
        match action, what:
            case "answer", int(result):
                steps = dialogue.value(CONTROL, bytes([0x20, 2, result]), now_ms)
                self.check(step for step in steps if not isinstance(step, Reject))
            case "weight", (None | int() as user, int(mass)):
                self.check(dialogue.value("0x2A9D", _weight(user, mass), now_ms))
                return 1
            case "noise", bytes(octets):
                self.check(dialogue.value("0x2A9D", octets, now_ms))
                return 1
            case "refused", code:
                self.check(
                    dialogue.refused(CONTROL, code if isinstance(code, int) else None, now_ms)
                )
            case "wait", int(ms):
                self.now_ms += ms
                self.check(dialogue.tick(self.now_ms))
            case _:
                self.check(dialogue.link_lost())
                self.check(dialogue.begin(now_ms))
        return 0


@given(st.lists(ACTIONS, max_size=40))
def test_no_scale_can_make_it_guess_lose_or_try_again(actions: list[tuple[str, object]]) -> None:
    watched = Watched()
    watched.check(watched.dialogue.begin(0))
    came = sum(watched.do(action, what) for action, what in actions)
    watched.check(watched.dialogue.link_lost())
    assert watched.taken == came
    assert watched.dialogue.deadline_ms is None
