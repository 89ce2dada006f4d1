"""Times of a batch: the same as asking for each record alone, never a bound too small."""

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.uplink.times import rounded_up, times_of
from wardlight_shared.envelope import Clock
from wardlight_shared.records import Lane, Record
from wardlight_shared.timestamps import Anchor, ClockQuality, resolve

DAY_MS = 86_400_000
anchors = st.lists(
    st.builds(
        Anchor,
        boot=st.integers(1, 2),
        mono_ms=st.integers(0, 3 * DAY_MS),
        utc_ms=st.integers(0, 1 << 41),
        error_ms=st.none() | st.integers(0, 3000),
        quality=st.sampled_from(ClockQuality),
    ),
    max_size=6,
)
moments = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 3 * DAY_MS)), min_size=1, max_size=60
)


def record(seq: int, boot: int, mono_ms: int) -> Record:
    return Record(seq, Lane.LIVE, None, boot, mono_ms, 7_000_000 + seq, b"\x92\x06\x01")


def alone(one: Record, anchors: list[Anchor]) -> tuple[int, Clock]:
    found = resolve(one.boot, one.mono_ms, anchors)
    if found is None:
        return one.wall_ms, Clock(int(ClockQuality.ESTIMATED), None)
    error_ms = None if found.error_ms is None else rounded_up(found.error_ms)
    return found.utc_ms, Clock(int(found.quality), error_ms)


@given(moments, anchors)
def test_a_batch_gets_the_times_its_records_get_alone(
    moments: list[tuple[int, int]], anchors: list[Anchor]
) -> None:
    records = [record(seq, *moment) for seq, moment in enumerate(moments, 1)]
    times = times_of(records, anchors)
    clock_of = times.clock_of or [0] * len(records)
    found = [
        (utc_ms, times.clocks[place]) for utc_ms, place in zip(times.utc_ms, clock_of, strict=True)
    ]
    expected = [alone(one, anchors) for one in records]
    # Anchors that are equally good may differ in their opinion of the time, never in the bound.
    assert [clock.error_ms for _, clock in found] == [clock.error_ms for _, clock in expected]
    for one, (utc_ms, clock), (best_ms, best) in zip(records, found, expected, strict=True):
        assert (utc_ms, clock) == (best_ms, best) or _is_a_tie(one, clock, anchors)


def _is_a_tie(one: Record, clock: Clock, anchors: list[Anchor]) -> bool:
    singles = [resolve(one.boot, one.mono_ms, [each]) for each in anchors]
    errors = [single.error_ms for single in singles if single is not None]
    best = min((error for error in errors if error is not None), default=None)
    return errors.count(best) > 1 and clock.error_ms == (best and rounded_up(best))


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
