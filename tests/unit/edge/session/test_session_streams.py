"""A session of a streaming device: blocks, their length, gaps."""

from pathlib import Path

from support.session_bench import (
    IDENTITY,
    STRAP,
    SessionBench,
)
from support.waiting import wait_until
from wardlight_edge.transports.base import (
    LinkState,
)
from wardlight_shared.profile import parse
from wardlight_shared.records import BlockBody, GapBody, Lane


async def test_what_a_stream_loses_meanwhile_is_a_named_gap(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)
    bench.live_until_ms = bench.clock.wall_ms() + 10_000_000
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
        await wait_until(bench.outbox.blocks)
        bench.outbox.is_full = True
        bench.clock.advance(1000)
        bench.octets(b"\x00\x49", "0x2A37")
        await wait_until(lambda: bench.entry.state == "outbox-full")
        for _ in range(1030):
            bench.clock.advance(1000)
            bench.octets(b"\x00\x48", "0x2A37")
        bench.outbox.is_full = False
        await wait_until(bench.outbox.gaps)
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count, gap.device) == ("outbox-full", 6, IDENTITY)
    assert gap.age_ms == 5000
    samples = sum(group.count for block in bench.outbox.blocks() for group in block.groups)
    assert samples == 1 + 1 + 1030 - 6


async def test_a_stream_becomes_a_block_and_its_interruption_a_gap(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        for _ in range(30):
            bench.octets(b"\x10\x3c\x00\x04", "0x2A37")
            bench.clock.advance(1000)
        bench.link(LinkState.LOST)
        bench.clock.advance(20_000)
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
    kinds = [type(body) for body in bench.outbox.bodies()]
    assert kinds.count(BlockBody) == 5, "three short ones at the beginning, one after the gap"
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count) == ("link-lost", 0)
    assert gap.age_ms == 21_000
    assert kinds.index(GapBody) < len(kinds) - 1 - kinds[::-1].index(BlockBody)
    assert [group.count for group in bench.outbox.blocks()[3].groups] == [27, 27]


async def test_a_killed_gateway_names_what_it_lost(tmp_path: Path) -> None:
    before = SessionBench(tmp_path, STRAP)
    before.live_until_ms = before.clock.wall_ms() + 1000
    async with before.running():
        before.connect()
        before.octets(b"\x00\x48", "0x2A37")
        await wait_until(before.outbox.blocks)
    after = SessionBench(tmp_path, STRAP)
    after.clock.advance(45_000)
    async with after.running():
        after.connect()
        after.octets(b"\x00\x48", "0x2A37")
    (gap,) = after.outbox.gaps()
    assert (gap.cause, gap.age_ms) == ("restart", 45_000)


async def test_who_watches_sees_each_second(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        for _ in range(10):
            bench.octets(b"\x00\x48", "0x2A37")
            bench.clock.advance(1000)
        await bench.settled()
        assert len(bench.outbox.blocks()) == 3, "those of the beginning"
        bench.live_until_ms = bench.clock.wall_ms() + 5000
        bench.octets(b"\x00\x48", "0x2A37")
        await wait_until(
            lambda: len(bench.outbox.blocks()) == 4, what="the running block goes at once"
        )
        bench.clock.advance(1000)
        bench.octets(b"\x00\x49", "0x2A37")
        await wait_until(lambda: len(bench.outbox.blocks()) == 5)
        bench.clock.advance(10_000)
        bench.octets(b"\x00\x49", "0x2A37")
        await bench.settled()
        assert len(bench.outbox.blocks()) == 5, "nobody watches any more"


async def test_near_an_alarm_blocks_are_short_for_a_minute(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)

    def blocks() -> list[tuple[Lane, int]]:
        return [
            (record.lane, body.groups[0].count)
            for record, body in zip(bench.outbox.records, bench.outbox.bodies(), strict=True)
            if isinstance(body, BlockBody)
        ]

    async with bench.running():
        bench.connect()
        for rate in (100, 100, 100, 100, 125, 130, 100):
            bench.octets(bytes([0, rate]), "0x2A37")
            bench.clock.advance(1000)
        await wait_until(lambda: len(blocks()) == 6)
        assert blocks()[3:] == [(Lane.LIVE, 2), (Lane.ALARM, 1), (Lane.LIVE, 1)]
        bench.clock.advance(60_000)
        bench.octets(bytes([0, 100]), "0x2A37")
        await bench.settled()
        assert len(blocks()) == 6


async def test_a_block_ends_after_its_time_without_another_sample(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
        await wait_until(bench.outbox.blocks)
        bench.clock.advance(5000)
        bench.octets(b"\x00\x48", "0x2A37")
        await bench.settled()
        assert len(bench.outbox.blocks()) == 1
        bench.clock.advance(60_000)
        await wait_until(lambda: len(bench.outbox.blocks()) == 2)


async def test_tokens_are_given_back_after_the_commit(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37", token=1)
        await wait_until(lambda: bench.transport.tokens == [1], what="the block of the beginning")
        bench.clock.advance(5000)
        bench.octets(b"\x00\x48", "0x2A37", token=2)
        await bench.settled()
        assert bench.transport.tokens == [1], "it is in a block that is still open"
        bench.clock.advance(61_000)
        await wait_until(lambda: bench.transport.tokens == [1, 2])


async def test_a_spot_check_of_a_streaming_oximeter_is_an_event(tmp_path: Path) -> None:
    profile = parse(
        """
schema = 1
decoder = "pulse_oximeter"
device = { manufacturer = "m", model = "oximeter" }
stream = {}
transport = { ble = { indicate = ["0x2A5E"], notify = ["0x2A5F"] } }
[[metric]]
name = "spo2"
""",
        source="oximeter.toml",
    )
    bench = SessionBench(tmp_path, profile)
    async with bench.running():
        bench.connect()
        bench.octets(bytes.fromhex("00 6100 3D00"), "0x2A5E")
        bench.octets(bytes.fromhex("00 6100 3D00"), "0x2A5F")
    assert len(bench.outbox.events()) == 1
    assert len(bench.outbox.blocks()) == 1


async def test_a_stream_that_begins_is_seen_at_once(tmp_path: Path) -> None:
    """Also after each break: nobody has to wait a minute for the first number."""
    bench = SessionBench(tmp_path, STRAP)
    async with bench.running():
        for link in (1, 2):
            bench.connect()
            bench.octets(b"\x00\x48", "0x2A37")
            await bench.settled()
            assert len(bench.outbox.blocks()) == link
            bench.link(LinkState.LOST)
            bench.clock.advance(60_000)
