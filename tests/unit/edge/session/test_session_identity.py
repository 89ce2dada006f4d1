"""A session of a device that the settings bind to a serial number."""

from pathlib import Path

import pytest

from support.session_bench import BP, BP_HIGH, CLOCK, CUFF, IDENTITY, STRAP, SessionBench
from support.waiting import wait_until
from wardlight_edge.sessions.waiting_room import CAPACITY
from wardlight_edge.transports.base import LinkState, ReadsDone
from wardlight_shared.model import Flag
from wardlight_shared.records import TimeMethod

SERIAL = "0x2A25"


def reads_done(bench: SessionBench, *absent: str) -> None:
    """All that is read on the link was read, or was not there."""
    bench.put(ReadsDone(bench.clock.mono_ms(), frozenset(absent)))


def known_by(bench: SessionBench) -> list[object]:
    return [each.data["known_by"] for each in bench.outbox.statuses("identity")]


async def test_a_wrong_device_is_not_stored(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-2")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.octets(b"SN-1", SERIAL, is_read=True)
        bench.octets(BP_HIGH)
        await wait_until(lambda: bench.entry.state == "wrong-device")
        await bench.settled()
    assert not bench.outbox.events()
    assert bench.entry.status().counts.decode_errors == 2
    assert "not the enrolled device" in (bench.entry.last_error or "")


async def test_a_number_that_matches_releases_what_waited(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.octets(CLOCK, "0x2A2B", is_read=True)
        await bench.settled()
        assert not bench.outbox.events()
        assert bench.entry.waiting == 1
        bench.octets(b"SN-1", SERIAL, is_read=True)
        await wait_until(bench.outbox.events)
        reads_done(bench)
        await wait_until(lambda: known_by(bench) == ["serial-number"])
    (event,) = bench.outbox.events()
    assert event.method is TimeMethod.DEVICE_CLOCK
    assert bench.entry.waiting == 0


async def test_a_number_that_cannot_be_read_lets_readings_wait(tmp_path: Path) -> None:
    """Unknown is not wrong: nothing is refused, nothing is taken, and it is shown."""
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.octets(CLOCK, "0x2A2B", is_read=True)
        reads_done(bench)
        bench.link(LinkState.WAITING)
        await wait_until(lambda: bench.entry.state == "unverified")
        await bench.settled()
        assert bench.entry.waiting == 1
        assert "serial number" in (bench.entry.reason or "")
        assert bench.entry.status().counts.decode_errors == 0
        assert bench.outbox.statuses("link")[-1].data["state"] == "unverified"
        # An hour later it is heard again, with a clock that was set meanwhile, and says who it is.
        bench.clock.advance(3_600_000)
        bench.link(LinkState.CONNECTED)
        bench.octets(BP_HIGH)
        bench.octets(b"SN-1", SERIAL, is_read=True)
        reads_done(bench)
        await wait_until(lambda: len(bench.outbox.events()) == 2)
        assert bench.outbox.statuses("link")[-1].data["state"] == "ok"
    first = bench.outbox.events()[0]
    assert first.method is TimeMethod.DEVICE_CLOCK
    assert first.age_ms == 10 * 60_000, "dated by the clock of its own link"
    assert not list((tmp_path / "waiting").iterdir())


async def test_a_number_that_turns_out_wrong_quarantines_what_waited(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.link(LinkState.WAITING)
        bench.link(LinkState.CONNECTED)
        bench.octets(b"SN-9", SERIAL, is_read=True)
        await wait_until(lambda: bench.entry.state == "wrong-device")
        await bench.settled()
    assert not bench.outbox.events()
    assert bench.entry.waiting == 0
    assert bench.entry.status().counts.decode_errors == 1


@pytest.mark.parametrize("shown", [None, b"", b"\0\0"])
async def test_a_device_without_a_number_is_taken_by_its_address(
    tmp_path: Path, shown: bytes | None
) -> None:
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        if shown is None:
            reads_done(bench, SERIAL)
        else:
            bench.octets(shown, SERIAL, is_read=True)
            reads_done(bench)
        await wait_until(bench.outbox.events)
        await wait_until(lambda: known_by(bench) == ["address"])


async def test_more_than_can_wait_is_told_with_its_true_reason(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        for _ in range(CAPACITY + 2):
            bench.octets(BP)
            bench.clock.advance(10)
        await bench.settled()
        assert bench.entry.waiting == CAPACITY
        (first, second) = bench.outbox.gaps()
        assert (first.cause, first.count, second.count) == ("unverified", 1, 1)
        reason = str(bench.outbox.statuses("quarantine")[0].data["reason"])
        assert "wait already" in reason
        bench.octets(b"SN-1", SERIAL, is_read=True)
        await bench.settled()
    assert bench.entry.status().counts.lost == 2
    assert bench.entry.status().counts.readings == 3 * CAPACITY


async def test_what_waits_is_found_again_after_a_restart(tmp_path: Path) -> None:
    before = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with before.running():
        before.link(LinkState.CONNECTED)
        before.octets(BP)
        before.octets(BP_HIGH)
        before.link(LinkState.WAITING)
    (file,) = (tmp_path / "waiting").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert BP not in file.read_bytes()
    after = SessionBench(
        tmp_path, CUFF, serial_number="SN-1", outbox=before.outbox, clock=before.clock
    )
    after.clock.advance(60_000)
    assert after.entry.waiting == 2
    async with after.running():
        after.link(LinkState.WAITING)
        await wait_until(lambda: after.entry.state == "unverified")
        after.link(LinkState.CONNECTED)
        after.octets(b"SN-1", SERIAL, is_read=True)
    assert len(after.outbox.events()) == 2
    assert not after.outbox.gaps()
    assert not list((tmp_path / "waiting").iterdir())


async def test_a_kill_between_outbox_and_disk_stores_nothing_twice(tmp_path: Path) -> None:
    """The file is put back as a kill leaves it; the second life brings the same event ids."""
    before = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with before.running():
        before.link(LinkState.CONNECTED)
        before.octets(BP)
        before.octets(BP_HIGH)
        before.link(LinkState.WAITING)
    (file,) = (tmp_path / "waiting").iterdir()
    kept = file.read_bytes()
    for _ in range(2):
        file.write_bytes(kept)
        after = SessionBench(
            tmp_path, CUFF, serial_number="SN-1", outbox=before.outbox, clock=before.clock
        )
        async with after.running():
            after.link(LinkState.CONNECTED)
            after.octets(b"SN-1", SERIAL, is_read=True)
        assert len(after.outbox.events()) == 2


async def test_a_reboot_makes_what_waited_old_and_its_time_uncertain(tmp_path: Path) -> None:
    before = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with before.running():
        before.link(LinkState.CONNECTED)
        before.octets(BP_HIGH)
        before.link(LinkState.WAITING)
    before.clock.advance(7_200_000)
    before.clock.reboot("boot-2")
    after = SessionBench(
        tmp_path, CUFF, serial_number="SN-1", outbox=before.outbox, clock=before.clock
    )
    async with after.running():
        after.link(LinkState.CONNECTED)
        after.octets(b"SN-1", SERIAL, is_read=True)
    (event,) = after.outbox.events()
    assert event.age_ms == 7_200_000
    assert event.error_ms is None
    assert (event.flags or [0])[0] & Flag.TIME_UNCERTAIN
    assert (event.flags or [0])[0] & Flag.LATE


async def test_a_stream_in_doubt_at_the_end_is_a_named_gap(tmp_path: Path) -> None:
    """What is in no block yet is never kept over a restart; the loss is told."""
    bench = SessionBench(tmp_path, STRAP, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        for _ in range(5):
            bench.octets(b"\x00\x48", "0x2A37")
            bench.clock.advance(1000)
        reads_done(bench)
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count, gap.age_ms) == ("restart", 5, 4000)
    assert not bench.outbox.blocks()


async def test_a_stream_that_waited_over_a_link_keeps_the_break(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP, serial_number="SN-1")
    async with bench.running():
        for _ in range(2):
            bench.link(LinkState.CONNECTED)
            for _ in range(3):
                bench.octets(b"\x00\x48", "0x2A37")
                bench.clock.advance(1000)
            bench.link(LinkState.LOST)
            bench.clock.advance(600_000)
        bench.link(LinkState.CONNECTED)
        bench.octets(b"SN-1", SERIAL, is_read=True)
    assert sum(block.groups[0].count for block in bench.outbox.blocks()) == 6
    assert [gap.cause for gap in bench.outbox.gaps()] == ["link-lost"]


async def test_a_disk_in_trouble_loses_nothing_silently(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    (tmp_path / "waiting").write_text("a file where the folder should be")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.link(LinkState.WAITING)
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count) == ("restart", 1)


async def test_a_file_that_cannot_be_opened_is_a_named_gap(tmp_path: Path) -> None:
    (tmp_path / "waiting").mkdir()
    file = tmp_path / "waiting" / f"{IDENTITY.replace(':', '-')}.sealed"
    file.write_bytes(b"not sealed with this gateway's key")
    bench = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.octets(b"SN-1", SERIAL, is_read=True)
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count) == ("corrupt", 0)
    assert len(bench.outbox.events()) == 1
    assert file.with_suffix(".damaged").exists()


async def test_an_operator_who_unbinds_the_device_ends_the_doubt(tmp_path: Path) -> None:
    before = SessionBench(tmp_path, CUFF, serial_number="SN-1")
    async with before.running():
        before.link(LinkState.CONNECTED)
        before.octets(BP)
        before.link(LinkState.WAITING)
    after = SessionBench(tmp_path, CUFF, outbox=before.outbox, clock=before.clock)
    assert after.entry.waiting == 1
    async with after.running():
        await wait_until(after.outbox.events)
    assert not list((tmp_path / "waiting").iterdir())


async def test_the_first_use_binds_and_another_number_is_refused(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, is_first_use=True)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        await wait_until(lambda: bench.entry.waiting == 1)
        assert not bench.bound
        bench.octets(b"SN-1", SERIAL, is_read=True)
        reads_done(bench)
        await wait_until(bench.outbox.events)
        bench.link(LinkState.WAITING)
        bench.link(LinkState.CONNECTED)
        bench.octets(b"SN-2", SERIAL, is_read=True)
        bench.octets(BP_HIGH)
        await wait_until(lambda: bench.entry.state == "wrong-device")
        await bench.settled()
    assert bench.bound == [(IDENTITY, "SN-1")]
    assert len(bench.outbox.events()) == 1
    assert known_by(bench)[0] == "serial-number"


async def test_a_first_use_without_a_number_binds_to_the_address(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, CUFF, is_first_use=True)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        reads_done(bench, SERIAL)
        await wait_until(bench.outbox.events)
        await wait_until(lambda: known_by(bench))
    assert bench.bound == [(IDENTITY, None)]
    assert known_by(bench) == ["address"]
