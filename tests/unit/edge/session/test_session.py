"""A session from arrivals to events and status records."""

from pathlib import Path

from support.session_bench import (
    BP,
    BP_HIGH,
    BP_IMPLAUSIBLE,
    CLOCK,
    CUFF,
    THERMOMETER,
    SessionBench,
)
from support.waiting import wait_until
from wardlight_edge.transports.base import (
    LinkState,
    ReadsDone,
)
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.model import Flag
from wardlight_shared.records import EventBody, Lane, TimeMethod


async def test_a_reading_waits_for_the_clock_of_its_device(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.clock.advance(100)
        bench.octets(CLOCK, "0x2A2B", is_read=True)
    (event,) = bench.outbox.events()
    assert event.method is TimeMethod.DEVICE_CLOCK
    assert event.age_ms == 10 * 60_000 - 100
    assert bench.outbox.statuses("clock")


async def test_a_clock_that_never_comes_is_not_waited_for_long(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        await bench.settled()
        assert not bench.outbox.events()
        bench.clock.advance(5000)
        bench.octets(b"\x57", "0x2A19", is_read=True)
        await wait_until(bench.outbox.events)
    (event,) = bench.outbox.events()
    assert event.method is TimeMethod.RECEIPT
    assert (event.flags or [0])[0] & Flag.TIME_UNCERTAIN


async def test_a_link_that_ends_first_releases_what_waited(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.link(LinkState.WAITING)
    assert len(bench.outbox.events()) == 1


async def test_lanes_and_flags(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.connect()
        bench.octets(BP_HIGH)
        bench.octets(BP_IMPLAUSIBLE)
    lanes = [
        record.lane
        for record, body in zip(bench.outbox.records, bench.outbox.bodies(), strict=True)
        if isinstance(body, EventBody)
    ]
    assert lanes == [Lane.ALARM, Lane.ALARM]
    assert (bench.outbox.events()[1].flags or [0])[0] == Flag.IMPLAUSIBLE
    assert bench.outbox.events()[0].flags is None


async def test_undecodable_octets_are_quarantined_and_said_once(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.connect()
        for length in range(1, 6):
            bench.octets(bytes(length))
        bench.octets(BP)
        bench.octets(b"", "0x2A99")
    assert len(bench.outbox.events()) == 1
    assert bench.entry.status().counts.decode_errors == 6
    (said,) = bench.outbox.statuses("quarantine")
    assert said.data["octets"] == 1
    assert "0x2A35" in str(said.data["reason"])


async def test_statuses_are_said_on_change_only(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        for percent in (90, 90, 89):
            bench.connect()
            bench.octets(bytes([percent]), "0x2A19", is_read=True)
            bench.octets(b"SN-1", "0x2A25", is_read=True)
            bench.put(ReadsDone(bench.clock.mono_ms()))
            bench.link(LinkState.WAITING)
    assert [each.data["percent"] for each in bench.outbox.statuses("battery")] == [90, 89]
    assert [each.data for each in bench.outbox.statuses("info")] == [{"serial_number": "SN-1"}]
    assert [each.data["state"] for each in bench.outbox.statuses("link")] == ["ok"]


async def test_trouble_with_the_link_is_said_and_its_end(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.ABSENT, "adapter hci0 not found")
        bench.link(LinkState.WAITING)
        bench.link(LinkState.CONNECTING)
        bench.link(LinkState.BOND_LOST, "repair it")
        await wait_until(lambda: bench.entry.state == "bond-lost")
    states = [each.data["state"] for each in bench.outbox.statuses("link")]
    assert states == ["absent", "ok", "bond-lost"]
    assert bench.entry.last_error == "repair it"


async def test_a_full_outbox_delays_and_shows(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF)
    bench.outbox.is_full = True
    async with bench.running():
        bench.connect()
        bench.octets(BP)
        await wait_until(lambda: bench.entry.state == "outbox-full")
        assert bench.session.inbox.is_refusing
        assert not bench.outbox.records
        bench.outbox.is_full = False
        await wait_until(bench.outbox.events)
        await wait_until(lambda: bench.entry.state == "connected")
    assert bench.entry.status().counts.refused >= 1


async def test_a_thermometer_that_names_its_site_once_is_read_before_its_values(
    tmp_path: Path,
) -> None:
    """HTS 1.0, 3.2: Temperature Type stands for measurements without a type; 0x06 is the mouth."""
    bench = SessionBench(tmp_path, THERMOMETER)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(bytes.fromhex("00 6C 01 00 FF"), "0x2A1C")  # 36.4 Cel
        await bench.settled()
        assert not bench.outbox.events()
        bench.octets(b"\x06", "0x2A1D", is_read=True)
        await wait_until(bench.outbox.events)
        bench.link(LinkState.WAITING)
        # The next link is too short for another look: the site is the device's for its life.
        bench.link(LinkState.CONNECTED)
        bench.octets(bytes.fromhex("00 6D 01 00 FF"), "0x2A1C")
        bench.octets(bytes.fromhex("04 6E 01 00 FF 01"), "0x2A1C")  # its own type wins: armpit
        bench.link(LinkState.WAITING)
    keys = [bench.outbox.key(event.series[0]) for event in bench.outbox.events()]
    assert [BY_WIRE[key.metric].name for key in keys] == [
        "body_temperature_oral",
        "body_temperature_oral",
        "body_temperature_axillary",
    ]
    assert [key.site for key in keys] == ["mouth", "mouth", "armpit"]


async def test_a_site_that_no_table_has_changes_nothing(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, THERMOMETER)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(b"\x00\x00", "0x2A1D", is_read=True)
        bench.octets(b"\x00", "0x2A1D", is_read=True)
        bench.octets(bytes.fromhex("00 6C 01 00 FF"), "0x2A1C")
        await wait_until(bench.outbox.events)
    (event,) = bench.outbox.events()
    key = bench.outbox.key(event.series[0])
    assert (BY_WIRE[key.metric].name, key.site) == ("body_temperature", None)
    assert bench.entry.status().counts.decode_errors == 1
