"""Times of a batch: the line of the boot, honestly bounded; blocks of a series never meet."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.outbox.anchors import keep_best
from wardlight_edge.uplink.times import rounded_up, times_of
from wardlight_shared.envelope import Clock
from wardlight_shared.records import Lane, Record
from wardlight_shared.timestamps import DRIFT_PPM, Anchor, ClockQuality

DAY_MS = 86_400_000
anchors = st.lists(
    st.builds(
        Anchor,
        boot=st.integers(1, 2),
        mono_ms=st.integers(0, 3 * DAY_MS),
        utc_ms=st.integers(0, 1 << 41),
        error_ms=st.none() | st.integers(0, 3000),
        quality=st.sampled_from(ClockQuality),
        is_turn=st.booleans(),
    ),
    max_size=6,
)
moments = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 3 * DAY_MS)), min_size=1, max_size=60
)


def record(seq: int, boot: int, mono_ms: int) -> Record:
    return Record(seq, Lane.LIVE, None, boot, mono_ms, 7_000_000 + seq, b"\x92\x06\x01")


def timed(records: list[Record], anchors: list[Anchor]) -> list[tuple[int, Clock]]:
    times = times_of(records, anchors)
    clock_of = times.clock_of or [0] * len(records)
    return [(utc, times.clocks[place]) for utc, place in zip(times.utc_ms, clock_of, strict=True)]


@given(moments, anchors)
def test_a_batch_gets_the_times_its_records_get_alone(
    moments: list[tuple[int, int]], anchors: list[Anchor]
) -> None:
    records = [record(seq, *moment) for seq, moment in enumerate(moments, 1)]
    together = timed(records, anchors)
    alone = [timed([one], anchors)[0] for one in records]
    assert [utc for utc, _ in together] == [utc for utc, _ in alone]
    # Of anchors that vouch equally well any may be named.
    assert [clock.error_ms for _, clock in together] == [clock.error_ms for _, clock in alone]


class Gateway:
    """A clock that drifts, and anchors that come while it runs; each is honest."""

    def __init__(self, drift_ppm: int, utc_at_0: int) -> None:
        self._drift_ppm = drift_ppm
        self._utc_at_0 = utc_at_0
        self.anchors: list[Anchor] = []

    def utc(self, mono_ms: int) -> int:
        return self._utc_at_0 + mono_ms + mono_ms * self._drift_ppm // 1_000_000

    def learn(self, mono_ms: int, error_ms: int, part: float) -> None:
        """An anchor that is off by a part (-1 to 1) of its bound."""
        utc_ms = self.utc(mono_ms) + int(error_ms * part)
        new = Anchor(1, mono_ms, utc_ms, error_ms + 1, ClockQuality.SERVER)
        self.anchors = keep_best([*self.anchors, new])


learned = st.lists(
    st.tuples(st.integers(1, 3_600_000), st.integers(0, 8000), st.floats(-1, 1)),
    min_size=1,
    max_size=10,
)
drifts = st.integers(-DRIFT_PPM + 1, DRIFT_PPM - 1)


@given(learned, drifts, st.lists(st.integers(0, 12 * 3_600_000), min_size=1, max_size=20))
def test_the_true_time_is_within_the_bound(
    lessons: list[tuple[int, int, float]], drift_ppm: int, moments: list[int]
) -> None:
    gateway = Gateway(drift_ppm, 1 << 40)
    now = 0
    for wait_ms, error_ms, part in lessons:
        now += wait_ms
        gateway.learn(now, error_ms, part)
    for mono_ms in moments:
        [(utc_ms, clock)] = timed([record(1, 1, mono_ms)], gateway.anchors)
        assert clock.error_ms is not None
        assert abs(utc_ms - gateway.utc(mono_ms)) <= clock.error_ms + 1


@given(
    learned,
    drifts,
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(62, 120_000)), min_size=2, max_size=25),
    st.randoms(use_true_random=False),
)
def test_blocks_of_a_series_keep_their_order_whenever_each_is_sent_and_by_whichever_anchors(
    lessons: list[tuple[int, int, float]],
    drift_ppm: int,
    blocks: list[tuple[int, int]],
    random_numbers: random.Random,
) -> None:
    """Each block is sent at any time after it ended, perhaps again later: all sendings count."""
    gateway = Gateway(drift_ppm, 1 << 40)
    spans: list[tuple[int, int]] = []
    end = 0
    for length_ms, pause_ms in blocks:
        spans.append((end + pause_ms, end + pause_ms + length_ms))
        end = spans[-1][1]
    gateway.learn(0, *lessons[0][1:])
    found: list[set[int]] = [set() for _ in spans]
    now = 0
    for wait_ms, error_ms, part in [*lessons[1:], (end, 0, 0.0)]:
        now += wait_ms
        for place, (start, stop) in enumerate(spans):
            if stop <= now and random_numbers.random() < 0.6:
                found[place].add(timed([record(1, 1, start)], gateway.anchors)[0][0])
        gateway.learn(now, error_ms, part)
    for place, (start, _) in enumerate(spans):
        found[place].add(timed([record(1, 1, start)], gateway.anchors)[0][0])
    for (earlier, (start, stop)), (later, _) in pairwise(zip(found, spans, strict=True)):
        assert max(earlier) + stop - start < min(later)


def test_a_time_once_given_stays() -> None:
    poor = Anchor(1, 0, 1 << 40, 4000, ClockQuality.SERVER)
    good = Anchor(1, 10_000, (1 << 40) + 7_000, 5, ClockQuality.SERVER)
    before = keep_best([poor])
    after = keep_best([*before, good])
    early, late = record(1, 1, 9_000), record(2, 1, 10_050)
    assert timed([early], before)[0][0] == timed([early], after)[0][0] == (1 << 40) + 9_000
    assert timed([early], after)[0][1].error_ms == 5000  # 3 s off, and the next anchor says so
    # 50 ms after the turn the line has hardly begun to come down, 3000 s later it is there.
    assert timed([late], after)[0][0] == (1 << 40) + 10_050
    there = record(3, 1, 10_000 + 3_000_000)
    assert timed([there], after)[0][0] == (1 << 40) + 7_000 + 3_000_000


def test_upwards_the_line_turns_at_once() -> None:
    poor = Anchor(1, 0, 1 << 40, 4000, ClockQuality.SERVER)
    good = Anchor(1, 10_000, (1 << 40) + 13_000, 5, ClockQuality.SERVER)
    kept = keep_best([*keep_best([poor]), good])
    assert timed([record(1, 1, 10_000)], kept)[0] == ((1 << 40) + 13_000, Clock(2, 5))


def test_a_worse_anchor_turns_nothing() -> None:
    good = Anchor(1, 0, 1 << 40, 5, ClockQuality.NTP)
    poor = Anchor(1, 10_000, (1 << 40) + 13_000, 4000, ClockQuality.SERVER)
    kept = keep_best([*keep_best([good]), poor])
    assert timed([record(1, 1, 10_000)], kept)[0] == ((1 << 40) + 10_000, Clock(3, 10))


@given(st.integers(0, 10_000_000))
def test_rounding_goes_up_by_less_than_the_double_and_a_half(error_ms: int) -> None:
    rounded = rounded_up(error_ms)
    assert error_ms <= rounded <= max(1, 2.5 * error_ms)
    assert str(rounded)[0] in "125"
    assert set(str(rounded)[1:]) <= {"0"}


def test_an_hour_of_backlog_needs_few_clocks() -> None:
    anchor = Anchor(1, 3 * DAY_MS, 1 << 40, 15, ClockQuality.SERVER)
    records = [record(seq, 1, seq * 1800) for seq in range(1, 2001)]
    times = times_of(records, [anchor])
    assert len(times.clocks) <= 3
    assert times.utc_ms[0] == anchor.utc_ms - anchor.mono_ms + 1800


def test_one_clock_is_not_repeated_for_each_record() -> None:
    anchor = Anchor(1, 1000, 1 << 40, 15, ClockQuality.NTP)
    assert times_of([record(1, 1, 900), record(2, 1, 950)], [anchor]).clock_of is None


def test_a_boot_without_anchor_keeps_its_wall_clock_without_a_bound() -> None:
    anchor = Anchor(2, 1000, 1 << 40, 15, ClockQuality.NTP)
    times = times_of([record(1, 1, 900)], [anchor])
    assert times.utc_ms == [7_000_001]
    assert times.clocks == [Clock(int(ClockQuality.ESTIMATED), None)]
