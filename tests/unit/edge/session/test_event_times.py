"""Times of events: stamps that state a zone, and values that hold several moments."""

from pathlib import Path

from support.session_bench import IDENTITY, SessionBench
from support.tree import ROOT
from wardlight_edge.devices import blood_pressure
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.events import EventLog
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.transports.base import LinkState, Octets
from wardlight_shared.records import EventBody, TimeMethod, decode_body
from wardlight_shared.timestamps import DeviceClock

CUFF = load_file(ROOT / "firmware-configs" / "generic-blood-pressure-enhanced.toml")
SENSOR = load_file(ROOT / "firmware-configs" / "generic-health-sensor.toml")
# The bench's clock: 2026-05-28T20:26:40Z, 833315200 s since 2000, in a zone of +120 minutes.
NOW_S = 833_315_200
LOCAL_CLOCK = bytes.fromhex("EA07 05 1C 16 1A 28 04 00 00")  # CTS 1.1: 22:26:40, a Thursday
# BPS 1.1, enhanced measurement: time stamp in UTC, seconds from 2000, 120/80, mean 95.
TEN_MINUTES_OLD = bytes.fromhex("42 7800 5000 5F00 285FAB31")  # 833314600


async def test_a_cuff_that_stamps_in_utc_and_shows_a_local_clock(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(TEN_MINUTES_OLD, "0x2B34")
        bench.octets(LOCAL_CLOCK, "0x2A2B", is_read=True)
    (event,) = bench.outbox.events()
    assert event.method is TimeMethod.DEVICE_CLOCK
    assert event.age_ms == 600_000
    assert event.error_ms == 2060
    assert event.device_time == "2026-05-28T20:16:40+00:00"


def test_a_stamp_in_utc_after_the_clock_was_set(tmp_path: Path) -> None:
    """The clock was three days behind when it was read; measured after it was set."""
    bench = SessionBench(tmp_path, CUFF)
    mono_ms, wall_ms = bench.clock.mono_ms(), bench.clock.wall_ms()
    shown = DeviceClock(NOW_S + 7200 - 60 - 3 * 86_400, mono_ms - 60_000)
    clock = LinkClock(shown, DeviceClock(NOW_S + 7200 - 60, mono_ms - 60_000))
    octets = TEN_MINUTES_OLD[:7] + (NOW_S - 30).to_bytes(4, "little")
    record = EventLog(IDENTITY, CUFF, bench.gateway, AlarmLimits(CUFF)).record(
        blood_pressure.decode("0x2B34", octets), Octets("0x2B34", octets, mono_ms, wall_ms), clock
    )
    body = decode_body(record.body)
    assert isinstance(body, EventBody)
    assert (body.method, body.age_ms, body.skew_s) == (TimeMethod.DEVICE_CLOCK, 30_000, 0)


# GHSS 1.0, 3.2: a bundle (class 255) of three numbers with elapsed times of their own (UTC with a
# zone, ETS 1.0): SpO2 98 % two hours ago, pulse 72 one hour ago, pulse 36 two hours ago.
BUNDLE = bytes.fromhex(
    "03FF4B000000030115000300B84B0200326045AB310000010020026200000001150003001A4802003270"
    "53AB3100000100A00A4800000001150003001A480200326045AB3100000100A00A24000000"
)


async def test_members_of_a_bundle_with_times_of_their_own_are_events_of_their_own(
    tmp_path: Path,
) -> None:
    bench = SessionBench(tmp_path, SENSOR)
    async with bench.running():
        bench.connect()
        bench.octets(BUNDLE, "0x2B8B")
        bench.octets(BUNDLE, "0x2B8B")
    older, newer = bench.outbox.events()
    assert (older.age_ms, older.mantissas) == (7_200_000, [98, 36])
    assert (newer.age_ms, newer.mantissas) == (3_600_000, [72])
    assert bench.entry.counts["readings"] == 6
