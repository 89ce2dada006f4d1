"""11073-20601 agents over TCP: a confirmed report is answered when it is committed."""

import asyncio
from pathlib import Path

import pytest

from support.lan_port import GatedOutbox, Sender, open_apdu_port
from support.vectors import cases, octets
from support.waiting import let_run, wait_until
from wardlight_shared.model import Flag

# Association with standard configuration 02BC and one report: signove/antidote.
WHOLE = next(octets(each) for each in cases("apdu") if each["name"].startswith("blood pressure"))
AARQ, REPORT = WHOLE[:54], WHOLE[54:]

AARQ_0190 = AARQ[:44] + bytes.fromhex("0190") + AARQ[46:]
# SpO2 with Relative-Time-Stamp 0x1000 in a report that shows 3600 s more, 28 800 000 ticks.
HOUR_OLD = bytes.fromhex(
    "E700002E002C1238010100260000"
    + f"{0x1000 + 28_800_000:08X}"
    + "0D1E001CF00000000001001400010002"
    "000E0A4C000200620991000400001000"
)


async def _apdu(agent: Sender) -> bytes:
    async with asyncio.timeout(180):
        head = await agent.reader.readexactly(4)
        return head + await agent.reader.readexactly(int.from_bytes(head[2:], "big"))


async def test_a_report_is_answered_after_its_commit(tmp_path: Path) -> None:
    outbox = GatedOutbox()
    async with open_apdu_port(tmp_path, outbox) as held, held.sender() as agent:
        agent.writer.write(AARQ)
        assert (await _apdu(agent))[:6] == bytes.fromhex("E300002C0000")
        assert (await _apdu(agent))[:2] == b"\xe7\x00"  # it asks who the agent is
        agent.writer.write(REPORT)
        await wait_until(lambda: outbox.asked)
        await let_run()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await agent.reader.read(1)
        assert not outbox.events()
        outbox.gate.set()
        assert (await _apdu(agent))[:10] == bytes.fromhex("E7000012001000540201")
    (event,) = outbox.events()
    assert event.mantissas == [120, 80, 100, 600]
    assert outbox.key(event.series[0]).device.startswith("lan:apdu.m-")


async def test_a_relative_stamp_dates_by_the_agents_counter(tmp_path: Path) -> None:
    outbox = GatedOutbox()
    outbox.gate.set()
    async with open_apdu_port(tmp_path, outbox) as held, held.sender() as agent:
        agent.writer.write(AARQ_0190 + HOUR_OLD)
        await wait_until(outbox.events)
    (event,) = outbox.events()
    assert event.age_ms == 3_600_000
    assert event.error_ms is None
    assert event.flags == [Flag.FROM_STORAGE | Flag.LATE | Flag.TIME_UNCERTAIN]


async def test_noise_ends_one_link_and_no_other(tmp_path: Path) -> None:
    outbox = GatedOutbox()
    outbox.gate.set()
    async with open_apdu_port(tmp_path, outbox) as held, held.sender() as noisy:
        noisy.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await noisy.is_hung_up()
        async with held.sender() as agent:
            agent.writer.write(AARQ)
            assert (await _apdu(agent))[:2] == b"\xe3\x00"
