"""Setting a device's clock, and which of two bases dates a stamp."""

from datetime import timedelta, timezone

import pytest

from support.manual_clock import ManualClock
from wardlight_edge.devices import current_time
from wardlight_edge.sessions.device_clock import DeviceClockKeeper, is_after_release
from wardlight_edge.sessions.times import local_device_s
from wardlight_shared.timestamps import DeviceClock, datetime_from_utc_ms

WALL_MS = 1_785_571_200_000  # 2026-08-01T08:00:00Z
OFFSET_MIN = 120  # of ManualClock
RIGHT_S = local_device_s(WALL_MS, OFFSET_MIN)


def _keeper(is_trusted: bool = True) -> tuple[DeviceClockKeeper, ManualClock]:
    clock = ManualClock(wall_ms=WALL_MS)
    return DeviceClockKeeper(clock, lambda: is_trusted), clock


def _shown(channel: str, ahead: timedelta) -> bytes:
    moment = datetime_from_utc_ms(WALL_MS).astimezone(timezone(timedelta(minutes=OFFSET_MIN)))
    return current_time.encode(channel, moment + ahead)


@pytest.mark.parametrize("channel", ["0x2A2B", "0x2A08"])
def test_a_wrong_clock_is_set_to_local_time(channel: str) -> None:
    keeper, _ = _keeper()
    octets = keeper.octets_for(channel, _shown(channel, timedelta(minutes=-4)))
    assert octets is not None
    written = current_time.decode(channel, octets).time
    assert written is not None
    expected = datetime_from_utc_ms(WALL_MS) + timedelta(minutes=OFFSET_MIN)
    assert written.isoformat() == f"{expected:%Y-%m-%dT%H:%M:%S}"


@pytest.mark.parametrize("seconds", [-2, 0, 2])
def test_a_right_clock_is_left_alone(seconds: int) -> None:
    keeper, _ = _keeper()
    assert keeper.octets_for("0x2A2B", _shown("0x2A2B", timedelta(seconds=seconds))) is None


@pytest.mark.parametrize("shown", [None, b"", bytes(10), b"\xff" * 10])
def test_an_unreadable_or_unset_clock_is_set(shown: bytes | None) -> None:
    keeper, _ = _keeper()
    assert keeper.octets_for("0x2A2B", shown) is not None


def test_a_gateway_that_does_not_know_the_time_sets_nobody() -> None:
    keeper, _ = _keeper(is_trusted=False)
    assert keeper.octets_for("0x2A2B", None) is None


def test_a_board_that_woke_in_1970_does_not_know_the_time() -> None:
    clock = ManualClock(wall_ms=WALL_MS)
    assert is_after_release(clock)
    clock.advance(-WALL_MS)
    assert not is_after_release(clock)


def test_memory_is_dated_by_the_old_clock_and_what_follows_by_the_new() -> None:
    """The device was an hour behind and was set right; both bases are in play."""
    keeper, clock = _keeper()
    read = DeviceClock(RIGHT_S - 3600, clock.mono_ms())
    keeper.shown(read)
    assert keeper.on_link.clock_for(RIGHT_S - 3700, clock.mono_ms()) is read
    clock.advance(500)
    keeper.written("0x2A2B")
    clock.advance(60_000)
    assert keeper.on_link.clock_for(RIGHT_S - 3700, clock.mono_ms()) is read, "stored before"
    after = keeper.on_link.clock_for(RIGHT_S + 50, clock.mono_ms())
    assert after is not None
    assert after.device_s == RIGHT_S, "measured after"
    assert keeper.on_link.clock_for(RIGHT_S + 500, clock.mono_ms()) is read, (
        "ahead of the clock set"
    )
    assert keeper.on_link.clock_for(None, clock.mono_ms()) is read


def test_a_new_link_knows_nothing() -> None:
    keeper, clock = _keeper()
    keeper.shown(DeviceClock(1, 1))
    keeper.written("0x2A2B")
    keeper.link_up(clock.mono_ms() + 1)
    assert keeper.on_link.clock_for(RIGHT_S, clock.mono_ms()) is None


def test_a_clock_set_before_the_session_has_heard_of_the_link_counts_for_it() -> None:
    keeper, clock = _keeper()
    connected_ms = clock.mono_ms()
    clock.advance(100)
    keeper.written("0x2A2B")
    keeper.link_up(connected_ms)
    assert keeper.on_link.clock_for(RIGHT_S + 1, clock.mono_ms() + 1000) is not None
