"""A serial oximeter on a real pseudo-terminal: lost bytes, unplugging, silence, a missing port."""

import asyncio
import os
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import serial

from support.block_reader import samples
from support.edge_settings import settings_for
from support.keeping_receiver import KeepingReceiver
from support.recording_outbox import RecordingOutbox
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.transports.base import LinkState, Octets
from wardlight_edge.transports.serial import SerialTransport
from wardlight_lab.serialport.nonin import Format, Oximetry, packet
from wardlight_lab.serialport.player import Disturbance, Fault, Player
from wardlight_lab.serialport.pty_port import PtyPort
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.profile import Profile, parse
from wardlight_shared.records import BlockBody

PACKETS_A_SECOND = 3
NONIN = parse(
    """
schema = 1
decoder = "serial_nonin"
device = { manufacturer = "Nonin", model = "Xpod" }
transport = { serial = { baud = 9600, silence_s = 1.0 } }
stream = { block_s = 60 }
options = { data_format = 2, waveform = true }
[[metric]]
name = "spo2"
""",
    source="nonin.toml",
)


@asynccontextmanager
async def _reading(port: Path, profile: Profile = NONIN) -> AsyncIterator[KeepingReceiver]:
    receiver = KeepingReceiver()
    transport = SerialTransport("serial:bed", str(port), profile, SystemClock())
    task = asyncio.create_task(transport.run(receiver))
    try:
        yield receiver
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _running(folder: Path, port: Path) -> AsyncIterator[tuple[DeviceRunner, RecordingOutbox]]:
    outbox = RecordingOutbox()
    device = DeviceSettings(identity="serial:bed", profile="nonin", port=str(port))
    settings = settings_for(folder, device)
    runner = DeviceRunner(settings, {"nonin": NONIN}, outbox, SystemClock(), lambda: None)
    task = asyncio.create_task(runner.run())
    try:
        yield runner, outbox
    finally:
        task.cancel()
        await asyncio.wait({task})


def _seconds(count: int, first: int = 90) -> list[tuple[bytes, dict[str, str]]]:
    """That many seconds of packets; the saturation tells which second it is."""
    pieces: list[tuple[bytes, dict[str, str]]] = []
    for second in range(count):
        raw = packet(Format.DF2, Oximetry(first + second % 10, 60), [30_000] * 25)
        pieces += [(raw, {})] * PACKETS_A_SECOND
    return pieces


def _stored(outbox: RecordingOutbox, metric: str = "spo2") -> list[str]:
    found: list[str] = []
    for record, body in zip(outbox.records, outbox.bodies(), strict=True):
        if isinstance(body, BlockBody):
            found += [
                str(sample.value)
                for sample in samples(body, record.mono_ms, {})
                if BY_WIRE[outbox.key(sample.series).metric].name == metric
            ]
    return found


async def test_every_octet_arrives_in_order(tmp_path: Path) -> None:
    pieces = _seconds(5)
    with PtyPort(tmp_path / "port") as port:
        async with _reading(port.path) as receiver:
            await wait_until(lambda: port.is_open)
            await Player(port, pieces, speed=50).play()
            await wait_until(lambda: sum(map(len, receiver.values())) == 5 * 375)
    assert b"".join(receiver.values()) == b"".join(raw for raw, _ in pieces)
    assert receiver.states() == [LinkState.CONNECTED]


async def test_an_unplugged_adapter_is_opened_again_when_it_is_back(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        async with _reading(port.path) as receiver:
            await wait_until(lambda: port.is_open)
            port.write(b"\x01\x80")
            await wait_until(receiver.values)
            port.unplug()
            await wait_until(lambda: receiver.last().state is LinkState.ABSENT)
            assert LinkState.LOST in receiver.states()
            assert "plugged in" in (receiver.last().reason or "")
            port.plug_in()
            await wait_until(lambda: port.is_open)
            await wait_until(lambda: receiver.last().state is LinkState.CONNECTED)
            port.write(b"\x02")
            await wait_until(lambda: receiver.values()[-1] == b"\x02")


async def test_a_port_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with _reading(tmp_path / "missing") as receiver:
        await wait_until(lambda: receiver.last().state is LinkState.ABSENT)
        assert str(tmp_path / "missing") in (receiver.last().reason or "")


async def test_a_port_in_use_is_left_to_its_owner(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        owner = serial.Serial(str(port.path), exclusive=True)
        try:
            async with _reading(port.path) as receiver:
                await wait_until(lambda: receiver.last().state is LinkState.ABSENT)
                assert "in use" in (receiver.last().reason or "")
                owner.close()
                await wait_until(lambda: receiver.last().state is LinkState.CONNECTED)
        finally:
            owner.close()


async def test_closing_does_not_drop_dtr(tmp_path: Path) -> None:
    """HUPCL is off while the port is open, so the next open resets no device."""
    with PtyPort(tmp_path / "port") as port:
        async with _reading(port.path):
            await wait_until(lambda: port.is_open)
            descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
            try:
                await wait_until(lambda: not termios.tcgetattr(descriptor)[2] & termios.HUPCL)
            finally:
                os.close(descriptor)


async def test_the_start_command_is_sent_and_again_after_silence(tmp_path: Path) -> None:
    assert NONIN.transport.serial is not None
    line = msgspec.structs.replace(NONIN.transport.serial, start="7D 81 A1", silence_s=0.2)
    transport = msgspec.structs.replace(NONIN.transport, serial=line)
    profile = msgspec.structs.replace(NONIN, transport=transport)
    heard = bytearray()

    def heard_twice() -> bool:
        heard.extend(port.read())
        return heard.count(b"\x7d\x81\xa1") >= 2

    with PtyPort(tmp_path / "port") as port:
        async with _reading(port.path, profile):
            await wait_until(heard_twice)


async def test_receipt_times_never_go_back(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        async with _reading(port.path) as receiver:
            await wait_until(lambda: port.is_open)
            await Player(port, _seconds(3), speed=30).play()
            await wait_until(lambda: sum(map(len, receiver.values())) == 3 * 375)
    moments = [each.mono_ms for each in receiver.of(Octets)]
    assert moments == sorted(moments)


async def test_a_lost_byte_costs_its_packet_and_no_more(tmp_path: Path) -> None:
    """The byte is in second 3: the other seconds are stored, the damage is counted."""
    drop = Disturbance(2 * 375 + 60, Fault.DROP)
    with PtyPort(tmp_path / "port") as port:
        async with _running(tmp_path, port.path) as (runner, outbox):
            await wait_until(lambda: port.is_open)
            player = Player(port, _seconds(7), speed=20, disturbances=[drop])
            await player.play()
            board = runner.board
            await wait_until(lambda: board.devices()[0].counts.readings >= 12)
        status = runner.board.devices()[0]
    assert status.counts.decode_errors >= 1
    stored = _stored(outbox)
    assert {"90", "91", "93", "94", "95"} <= set(stored)
    assert stored == sorted(stored)
    assert len(outbox.waveforms()) >= 2, "a damaged packet breaks the waveform"


async def test_unplugged_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    unplug = Disturbance(2, Fault.UNPLUG, pause_s=0.1)
    with PtyPort(tmp_path / "port") as port:
        async with _running(tmp_path, port.path) as (runner, outbox):
            await wait_until(lambda: port.is_open)
            await Player(port, _seconds(3), speed=20).play()
            # What the gateway has not read is lost with the adapter: no gap without a stream.
            await wait_until(lambda: runner.board.devices()[0].counts.readings >= 4)
            await Player(port, _seconds(37, 93), speed=20, disturbances=[unplug]).play()
            await wait_until(lambda: runner.board.devices()[0].counts.links == 2)
            await wait_until(lambda: outbox.gaps())
        assert runner.board.devices()[0].counts.link_losses == 1
    assert outbox.gaps()[0].cause == "link-lost"
    stored = _stored(outbox)
    assert stored[:2] == ["90", "91"]
    assert len(stored) > 10


async def test_a_device_that_falls_silent_is_shown_and_its_gap_named(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        async with _running(tmp_path, port.path) as (runner, outbox):
            await wait_until(lambda: port.is_open)
            await Player(port, _seconds(2), speed=10).play()
            await wait_until(lambda: runner.board.devices()[0].state == "silent")
            await wait_until(lambda: len(outbox.blocks()) == 1, what="the running block flushed")
            await wait_until(lambda: outbox.statuses("link")[-1].data["state"] == "silent")
            await Player(port, _seconds(2), speed=10).play()
            await wait_until(lambda: outbox.gaps())
            await wait_until(lambda: runner.board.devices()[0].state == "connected")
    assert outbox.gaps()[0].cause == "silent"
    assert outbox.gaps()[0].age_ms >= 1000


async def test_noise_never_ends_the_session(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        async with _running(tmp_path, port.path) as (runner, outbox):
            await wait_until(lambda: port.is_open)
            port.write(bytes(range(256)) * 8)
            await Player(port, _seconds(4), speed=20).play()
            await wait_until(lambda: runner.board.devices()[0].counts.readings >= 6)
        assert runner.board.devices()[0].counts.restarts == 0
    assert _stored(outbox)[-1] == "92", "the fourth second waits for the frame after it"


async def test_the_waveform_is_kept_where_the_profile_asks(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        async with _running(tmp_path, port.path) as (runner, outbox):
            await wait_until(lambda: port.is_open)
            await Player(port, _seconds(7), speed=20).play()
            await wait_until(lambda: runner.board.devices()[0].counts.readings >= 12)
    total = sum(len(body.samples) for body in outbox.waveforms())
    assert total % (75 * 2) == 0
    assert total >= 6 * 75 * 2
    assert {body.rate_mhz for body in outbox.waveforms()} == {75_000}
    assert max(len(body.samples) for body in outbox.waveforms()) <= 5 * 75 * 2
