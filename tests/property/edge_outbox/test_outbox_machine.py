"""The outbox as a state machine: any order of operations, compared with a plain list.

Live records are given receipts in order (or hours of age), because to the second it does not
matter when one of them stops being served first.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.manual_clock import ManualClock
from support.outbox_records import LIVE_AGE_MS, number_of, record, sqlite_outbox
from wardlight_edge.outbox.base import LONGEST_BLOCK_MS, Choice
from wardlight_edge.outbox.memory import MemoryOutbox
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_shared.records import Lane

HOUR_MS = 3_600_000
LIVE_MS = LIVE_AGE_MS + LONGEST_BLOCK_MS
MUCH = 1 << 30

new_records = st.lists(
    st.tuples(
        st.sampled_from(Lane),
        st.sampled_from([0, 0, 2 * HOUR_MS, 5 * HOUR_MS]),  # age
        st.sampled_from([None, None, "a", "b", "c", "d"]),  # device event
    ),
    min_size=1,
    max_size=6,
)
seq_choices = st.integers(0, 60)
spans = st.lists(st.tuples(seq_choices, st.integers(0, 4)), max_size=3)


class Row(msgspec.Struct):
    seq: int
    number: int
    lane: Lane
    boot: int
    mono_ms: int
    size: int
    event: str | None
    is_stale: bool  # live, but old when it was accepted
    is_leased: bool = False


class OutboxMachine(RuleBasedStateMachine):
    """Rules for any outbox; the subclass opens one."""

    outbox: Any

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(mono_ms=100 * HOUR_MS)
        self.runner = asyncio.Runner()
        self.rows: list[Row] = []
        self.rejected: dict[int, str | None] = {}
        self.highest = 0
        self.next_number = 0
        self.boot = 1

    def teardown(self) -> None:
        self.runner.close()

    @rule(records=new_records)
    def append(self, records: list[tuple[Lane, int, str | None]]) -> None:
        new, expected = [], []
        for lane, age_ms, event in records:
            one = record(self.clock, self.next_number, lane, age_ms=age_ms, event=event)
            new.append(one)
            seq = self.seq_of_event(event)
            if seq is None:
                self.highest += 1
                seq = self.highest
                is_stale = lane is Lane.LIVE and age_ms > LIVE_MS
                row = Row(
                    seq, self.next_number, lane, self.boot, one.mono_ms, len(one.body), event,
                    is_stale,
                )  # fmt: skip
                self.rows.append(row)
            expected.append(seq)
            self.next_number += 1
        assert self.run(self.outbox.append(new)) == expected

    @rule(
        count=st.integers(2, 40),
        lane=st.sampled_from(Lane),
        age_ms=st.sampled_from([0, 2 * HOUR_MS]),
    )
    def append_alike(self, count: int, lane: Lane, age_ms: int) -> None:
        """Many of these share a row."""
        self.append([(lane, age_ms, None)] * count)

    @rule(milliseconds=st.sampled_from([1000, 10_000, LIVE_MS + 5000, HOUR_MS]))
    def advance(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)

    @rule(
        choice=st.sampled_from(Choice),
        most=st.integers(1, 8),
        max_bytes=st.sampled_from([MUCH, 150, 1]),
    )
    def take(self, choice: Choice, most: int, max_bytes: int) -> None:
        expected: list[int] = []
        room = max_bytes
        for row in self.in_order(choice):
            if expected and (len(expected) >= most or row.size > room):
                break
            expected.append(row.number)
            room -= row.size
            row.is_leased = True
        taken = self.run(self.outbox.take(choice, max_records=most, max_bytes=max_bytes))
        assert [number_of(one) for one in taken] == expected

    @rule(seqs=st.none() | st.lists(seq_choices, max_size=5))
    def give_back(self, seqs: list[int] | None) -> None:
        self.run(self.outbox.give_back(seqs))
        for row in self.rows:
            if seqs is None or row.seq in seqs:
                row.is_leased = False

    @rule(upto=seq_choices, spans=spans, rejected=st.lists(seq_choices, max_size=2, unique=True))
    def settle(self, upto: int, spans: list[tuple[int, int]], rejected: list[int]) -> None:
        ranges = [(first, first + length) for first, length in spans]
        for row in [row for row in self.rows if row.seq in rejected]:
            self.rows.remove(row)
            self.rejected[row.seq] = row.event
        gone = [
            row
            for row in self.rows
            if row.seq <= upto or any(first <= row.seq <= last for first, last in ranges)
        ]
        for row in gone:
            self.rows.remove(row)
        reasons = [(seq, "bad") for seq in rejected]
        removed = self.run(self.outbox.settle(upto=upto, ranges=ranges, rejected=reasons))
        assert removed == len(gone)

    @rule(seqs=st.lists(seq_choices, max_size=3, unique=True))
    def forget(self, seqs: list[int]) -> None:
        known = [seq for seq in seqs if seq in self.rejected]
        assert self.run(self.outbox.forget(seqs)) == len(known)
        for seq in known:
            del self.rejected[seq]

    @invariant()
    def the_figures_agree(self) -> None:
        status = self.outbox.status()
        assert status.records == len(self.rows)
        assert status.leased == sum(row.is_leased for row in self.rows)
        assert status.rejected == len(self.rejected)
        assert status.highest == self.highest
        assert status.lowest == min((row.seq for row in self.rows), default=0)

    def run(self, operation: Any) -> Any:
        return self.runner.run(operation)

    def seq_of_event(self, event: str | None) -> int | None:
        if event is None:
            return None
        for row in self.rows:
            if row.event == event:
                return row.seq
        return next((seq for seq, name in self.rejected.items() if name == event), None)

    def in_order(self, choice: Choice) -> Iterable[Row]:
        waiting = [row for row in self.rows if not row.is_leased and self.served_as(row) is choice]
        if choice is Choice.BACKFILL:
            return sorted(waiting, key=lambda row: (-row.boot, -(row.mono_ms // HOUR_MS), row.seq))
        return waiting

    def served_as(self, row: Row) -> Choice:
        if row.lane is not Lane.LIVE:
            return Choice[row.lane.name]
        is_old = row.boot != self.boot or row.mono_ms < self.clock.mono_ms() - LIVE_MS
        return Choice.BACKFILL if is_old or row.is_stale else Choice.LIVE


class MemoryMachine(OutboxMachine):
    @initialize()
    def open(self) -> None:
        async def opened() -> MemoryOutbox:
            return MemoryOutbox(self.clock, live_age_ms=LIVE_AGE_MS)

        self.outbox = self.run(opened())


class SqliteMachine(OutboxMachine):
    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.open_file()

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.run(self.outbox.__aexit__(None, None, None))
            shutil.rmtree(self.folder)
        super().teardown()

    @rule(is_reboot=st.booleans())
    def reopen(self, is_reboot: bool) -> None:
        self.run(self.outbox.__aexit__(None, None, None))
        if is_reboot:
            self.boot += 1
            self.clock.reboot(f"boot-{self.boot}", mono_ms=30 * HOUR_MS)
        self.open_file()
        for row in self.rows:
            row.is_leased = False
        assert self.outbox.boot == self.boot

    @precondition(lambda self: len(self.rows) > 1)
    @rule()
    def drain(self) -> None:
        """Everything that waits can be taken, once."""
        self.give_back(None)
        for choice in Choice:
            self.take(choice, 1000, MUCH)
        assert self.outbox.status().leased == len(self.rows)

    def open_file(self) -> None:
        async def opened() -> SqliteOutbox:
            outbox = sqlite_outbox(self.folder / "outbox.db", self.clock)
            return await outbox.__aenter__()

        self.outbox = self.run(opened())


TestMemoryOutbox = MemoryMachine.TestCase
TestMemoryOutbox.settings = hypothesis_settings(max_examples=40, stateful_step_count=30)
TestSqliteOutbox = SqliteMachine.TestCase
TestSqliteOutbox.settings = hypothesis_settings(max_examples=40, stateful_step_count=30)
