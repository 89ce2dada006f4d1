"""Whose turn it is, and how much backlog may be on its way."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.outbox.base import Choice
from wardlight_edge.uplink.lanes import LARGEST_BYTES, SMALLEST_BYTES, Pace, Scheduler

FREE = 16


def serve(scheduler: Scheduler, waiting: set[Choice], size: int, *, free: int = FREE) -> Choice:
    order = scheduler.order(backfill_allowed=True, free=free)
    choice = next(each for each in order if each in waiting)
    scheduler.sent(choice, size)
    return choice


def test_alarm_live_backfill_bulk() -> None:
    scheduler = Scheduler(0.1)
    order = scheduler.order(backfill_allowed=True, free=FREE)
    assert order == (Choice.ALARM, Choice.LIVE, Choice.BACKFILL, Choice.BULK)


def test_nothing_of_the_backlog_before_it_is_allowed_or_into_the_places_of_live() -> None:
    scheduler = Scheduler(0.1)
    assert scheduler.order(backfill_allowed=False, free=FREE) == (Choice.ALARM, Choice.LIVE)
    assert scheduler.order(backfill_allowed=True, free=4) == (Choice.ALARM, Choice.LIVE)
    assert Choice.BACKFILL in scheduler.order(backfill_allowed=True, free=5)


@given(st.floats(0.1, 0.9), st.lists(st.integers(100, LARGEST_BYTES), min_size=30, max_size=30))
def test_backfill_gets_its_floor_while_live_never_ends(floor: float, sizes: list[int]) -> None:
    """Whether live comes in small messages or in large ones."""
    scheduler = Scheduler(floor)
    served: Counter[Choice] = Counter()
    for size in sizes * 40:
        order = scheduler.order(backfill_allowed=True, free=FREE)
        choice = min((Choice.LIVE, Choice.BACKFILL), key=order.index)
        size_bytes = size if choice is Choice.LIVE else scheduler.owed_bytes
        scheduler.sent(choice, size_bytes)
        served[choice] += size_bytes
    enough = served.total() > 60 * SMALLEST_BYTES
    share = served[Choice.BACKFILL] / served.total()
    assert share <= floor + 0.01
    assert share >= 0.8 * floor or not enough or max(sizes) * floor / (1 - floor) > LARGEST_BYTES


def test_live_messages_of_any_size_cannot_starve_the_backlog() -> None:
    for size in (150, 5_000, LARGEST_BYTES):
        scheduler = Scheduler(0.1)
        order: tuple[Choice, ...] = ()
        for _ in range(20 * LARGEST_BYTES // size):
            scheduler.sent(Choice.LIVE, size)
            order = scheduler.order(backfill_allowed=True, free=FREE)
        assert order[1] is Choice.BACKFILL


def test_an_alarm_goes_before_a_backlog_that_is_owed() -> None:
    scheduler = Scheduler(0.5)
    for _ in range(20):
        scheduler.sent(Choice.LIVE, LARGEST_BYTES)
    assert scheduler.order(backfill_allowed=True, free=FREE)[0] is Choice.ALARM
    assert serve(scheduler, {Choice.LIVE, Choice.BACKFILL}, 1000) is Choice.BACKFILL


def test_nothing_is_owed_to_a_backlog_that_does_not_exist() -> None:
    scheduler = Scheduler(0.5)
    for _ in range(20):
        scheduler.sent(Choice.LIVE, LARGEST_BYTES)
    scheduler.nothing_to_backfill()
    assert serve(scheduler, {Choice.LIVE, Choice.BACKFILL}, 1000) is Choice.LIVE


@given(st.lists(st.tuples(st.integers(1, LARGEST_BYTES), st.floats(0, 20)), max_size=80))
def test_pace_stays_within_its_limits(acks: list[tuple[int, float]]) -> None:
    pace = Pace(16)
    for size, took_s in acks:
        pace.acked(size, took_s)
        assert SMALLEST_BYTES <= pace.batch_bytes <= LARGEST_BYTES
        assert SMALLEST_BYTES <= pace.allowance_bytes <= 16 * LARGEST_BYTES


def test_pace_fills_the_window_of_a_fast_link() -> None:
    pace = Pace(16)
    for _ in range(100):
        pace.acked(pace.batch_bytes, 0.02)
    assert pace.batch_bytes == LARGEST_BYTES
    assert pace.allowance_bytes >= 10 * LARGEST_BYTES


def test_pace_keeps_little_in_flight_on_a_slow_link() -> None:
    """At 20 KB/s no more than about a second of backlog may stand before a live record."""
    rate = 20_000
    pace = Pace(16)
    for _ in range(100):
        pace.acked(pace.batch_bytes, pace.allowance_bytes / rate)
    assert pace.allowance_bytes <= 1.2 * rate


def test_pace_backs_off_when_acks_do_not_come() -> None:
    pace = Pace(16)
    for _ in range(20):
        pace.lost()
    assert pace.allowance_bytes == SMALLEST_BYTES
