"""The window under any order of sendings, acks, losses and resends.

A seq is out of the window only when it was acked or given back; the window never holds more than
its limit; what is given up can be sent again, so that a collector that answers ends everything.
"""

import random

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wardlight_edge.outbox.base import Choice
from wardlight_edge.uplink.window import Window

LIMIT = 4
TIMEOUT_S = 10.0
LONGEST_S = 300.0

ranges = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 6)), max_size=4)


class WindowMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.window = Window(
            LIMIT,
            ack_timeout_s=TIMEOUT_S,
            longest_s=LONGEST_S,
            random_numbers=random.Random(1),
        )
        self.now_s = 1000.0
        self.waiting = list(range(1, 61))  # in the outbox, not leased
        self.open: dict[int, tuple[Choice, set[int], int, float]] = {}  # batches as sent
        self.acked: set[int] = set()

    @precondition(lambda self: self.waiting and len(self.open) < LIMIT)
    @rule(count=st.integers(1, 9), choice=st.sampled_from(Choice), data=st.data())
    def send(self, count: int, choice: Choice, data: st.DataObject) -> None:
        picked = data.draw(st.lists(st.sampled_from(self.waiting), min_size=1, max_size=count))
        seqs = set(picked)
        self.waiting = [seq for seq in self.waiting if seq not in seqs]
        number = self.window.next_number()
        self.window.sent(choice, seqs, 100 * len(seqs), self.now_s)
        self.open[number] = (choice, seqs, 100 * len(seqs), self.now_s)

    @precondition(lambda self: len(self.open) == LIMIT)
    @rule()
    def a_full_window_takes_no_more(self) -> None:
        with pytest.raises(ValueError, match="full"):
            self.window.sent(Choice.LIVE, [99], 1, self.now_s)

    @rule(upto=st.integers(0, 20), spans=ranges, rejected=st.lists(st.integers(1, 60), max_size=2))
    def ack(self, upto: int, spans: list[tuple[int, int]], rejected: list[int]) -> None:
        named = [(first, first + length) for first, length in spans]
        settled = set(range(1, upto + 1)) | set(rejected)
        for first, last in named:
            settled |= set(range(first, last + 1))
        done = self.window.acked(upto, named, rejected, self.now_s)
        complete = [batch for batch in self.open.values() if not batch[1] - self.acked - settled]
        self.acked |= settled
        assert sorted((one.choice.value, one.size_bytes, one.took_s) for one in done) == sorted(
            (choice.value, size, self.now_s - sent_s) for choice, _, size, sent_s in complete
        )
        self.open = {number: batch for number, batch in self.open.items() if batch[1] - self.acked}
        self.waiting = [seq for seq in self.waiting if seq not in self.acked]

    @rule(seconds=st.sampled_from([0.5, TIMEOUT_S, 100.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        deadline_s = self.window.next_deadline_s()
        assert (deadline_s is None) == (not self.open)
        late = self.window.give_up_late(self.now_s)
        if deadline_s is not None:
            assert bool(late) == (self.now_s >= deadline_s)
        gone = {
            number: batch
            for number, batch in self.open.items()
            if batch[1] - self.acked & batch[1] and batch[1] & set(late)
        }
        assert set(late) == {seq for _, seqs, _, _ in gone.values() for seq in seqs - self.acked}
        for number, (_, _, _, sent_s) in gone.items():
            assert self.now_s - sent_s >= TIMEOUT_S
            del self.open[number]
        for _, _, _, sent_s in self.open.values():
            assert self.now_s - sent_s < LONGEST_S * 1.2
        self.waiting += late

    @rule()
    def reconnect(self) -> None:
        self.window.clear()
        for _, seqs, _, _ in self.open.values():
            self.waiting += sorted(seqs - self.acked)
        self.open.clear()

    @invariant()
    def nothing_is_lost_or_held_twice(self) -> None:
        held = [seq for _, seqs, _, _ in self.open.values() for seq in seqs - self.acked]
        assert sorted([*held, *self.waiting, *(self.acked & set(range(1, 61)))]) == list(
            range(1, 61)
        )
        assert len(self.window) == len(self.open) <= LIMIT
        assert self.window.free() == LIMIT - len(self.open)
        for choice in Choice:
            sizes = [size for each, _, size, _ in self.open.values() if each is choice]
            assert self.window.in_flight_bytes(choice) == sum(sizes)


TestWindow = WindowMachine.TestCase
TestWindow.settings = hypothesis_settings(stateful_step_count=40)


def test_patience_grows_with_each_batch_given_up_and_returns_with_progress() -> None:
    window = Window(4, ack_timeout_s=10, longest_s=300, random_numbers=random.Random(2))
    now_s, patiences = 0.0, []
    for _ in range(8):
        window.sent(Choice.LIVE, [1], 1, now_s)
        deadline_s = window.next_deadline_s()
        assert deadline_s is not None
        patiences.append(deadline_s - now_s)
        now_s = deadline_s
        assert window.give_up_late(now_s) == [1]
    for place, patience in enumerate(patiences):
        least = min(300.0, 10.0 * 2**place)
        assert least <= patience <= 1.2 * least
    window.sent(Choice.LIVE, [1], 1, now_s)
    window.acked(1, [], [], now_s)
    window.sent(Choice.LIVE, [2], 1, now_s)
    deadline_s = window.next_deadline_s()
    assert deadline_s is not None
    assert deadline_s - now_s <= 12
