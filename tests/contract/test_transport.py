"""One suite on every transport: the rules of ``transports/base.py``."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest

from support.ble_visits import CUFF, NoClock, WatchedCuff, open_descriptors
from support.keeping_receiver import KeepingReceiver
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings
from wardlight_edge.devices import bthome
from wardlight_edge.transports.base import LinkChange, LinkState, Octets, Transport
from wardlight_edge.transports.ble_adverts import AdvertTransport
from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_edge.transports.ble_device import BleTransport
from wardlight_edge.transports.ble_stack import BleStack
from wardlight_edge.transports.replay import ReplayTransport
from wardlight_edge.transports.serial import SerialTransport
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.advertisers import BTHomeSensor
from wardlight_lab.serialport.pty_port import PtyPort
from wardlight_shared.profile import parse

NONIN = parse(
    """
schema = 1
decoder = "serial_nonin"
device = { manufacturer = "Nonin", model = "Xpod" }
transport = { serial = { baud = 9600 } }
[[metric]]
name = "spo2"
""",
    source="nonin.toml",
)


class Bench(Protocol):
    """A device that can be made to send and to go."""

    transport: Transport
    keeps: bool
    """Whether the device keeps what nobody takes."""
    has_links: bool
    """Whether it is connected to."""

    async def send(self) -> None:
        """Let the device send something."""

    async def go(self) -> None:
        """End the link."""


class BleBench:
    """A cuff of the fake BlueZ."""

    keeps = True
    has_links = True

    def __init__(self, folder: Path, bluez: FakeBluez) -> None:
        self.cuff = WatchedCuff()
        bluez.add(self.cuff)
        clock = SystemClock()
        bonds = Bonds(folder / "bonds.json")
        settings = BleSettings(connect_timeout_s=5.0)
        self.stack = BleStack(settings, [self.cuff.address], bonds, clock, retry_s=0.1)
        self.transport: Transport = BleTransport(
            self.cuff.identity_text, CUFF, self.stack, NoClock(), clock
        )

    async def send(self) -> None:
        self.cuff.record()

    async def go(self) -> None:
        """It hangs up by itself."""


class AdvertBench:
    """A sensor of the fake BlueZ that only advertises."""

    keeps = False
    has_links = False

    def __init__(self, folder: Path, bluez: FakeBluez) -> None:
        self.sensor = BTHomeSensor("54:48:E6:8F:80:A5", interval_s=0.02)
        bluez.add(self.sensor)
        clock = SystemClock()
        bonds = Bonds(folder / "bonds.json")
        self.stack = BleStack(BleSettings(), [self.sensor.address], bonds, clock, retry_s=0.1)
        self.transport: Transport = AdvertTransport(
            self.sensor.identity_text, bthome.ADVERTS, 300, self.stack, clock
        )
        self.sent = 0

    async def send(self) -> None:
        self.sent += 1
        self.sensor.weigh(Decimal(60 + self.sent))

    async def go(self) -> None:
        self.sensor.in_range = False


class SerialBench:
    """A pseudo-terminal."""

    keeps = False
    has_links = True

    def __init__(self, port: PtyPort) -> None:
        self.port = port
        self.transport: Transport = SerialTransport(
            "serial:bed", str(port.path), NONIN, SystemClock()
        )

    async def send(self) -> None:
        await wait_until(lambda: self.port.is_open)
        self.port.write(b"\x01\x80\x00\x00\x81")

    async def go(self) -> None:
        self.port.unplug()


class ReplayBench:
    """A capture of one line that grows no further."""

    keeps = True
    has_links = True

    def __init__(self, folder: Path) -> None:
        lines = [{"t": place, "characteristic": "0x2A37", "hex": "00 48"} for place in range(3)]
        file = folder / "capture.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        state = folder / "state"
        self.transport: Transport = ReplayTransport("replay:x", file, 0, state, SystemClock())

    async def send(self) -> None:
        """The capture holds it already."""

    async def go(self) -> None:
        """It ends by itself."""


@asynccontextmanager
async def _ble(
    kind: type[BleBench | AdvertBench], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        bluez = await stack.enter_async_context(FakeBluez())
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
        bench = kind(folder, bluez)
        serving = asyncio.create_task(bench.stack.run())
        try:
            # bleak keeps one connection of its own for the life of the loop: open it first.
            await wait_until(lambda: bench.stack.radio("hci0").state.is_scanning)
            await wait_until(lambda: bench.stack.radio("hci0").reason is None)
            yield bench
        finally:
            serving.cancel()
            await asyncio.wait({serving})


@pytest.fixture(
    params=[
        pytest.param("ble", marks=pytest.mark.dbus),
        pytest.param("adverts", marks=pytest.mark.dbus),
        "serial",
        "replay",
    ]
)
async def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    peer: Callable[[str], Path],
) -> AsyncIterator[Bench]:
    """Each transport with a device behind it."""
    match request.param:
        case "ble" | "adverts" as kind:
            peer("dbus-daemon")
            made_by = BleBench if kind == "ble" else AdvertBench
            async with _ble(made_by, tmp_path, monkeypatch) as made:
                yield made
        case "serial":
            with PtyPort(tmp_path / "port") as port:
                yield SerialBench(port)
        case _:
            yield ReplayBench(tmp_path)


@asynccontextmanager
async def _run(bench: Bench, receiver: KeepingReceiver) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.transport.run(receiver))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None


async def test_a_link_is_announced_before_its_octets_and_ended_after(bench: Bench) -> None:
    if not bench.has_links:
        pytest.skip("it is never connected")
    receiver = KeepingReceiver()
    async with _run(bench, receiver):
        await bench.send()
        await wait_until(receiver.values)
        await bench.go()
        await wait_until(lambda: receiver.last().state is not LinkState.CONNECTED)
    kinds = [
        each.state if isinstance(each, LinkChange) else "octets"
        for each in receiver.arrivals
        if isinstance(each, LinkChange | Octets)
    ]
    first = kinds.index("octets")
    assert LinkState.CONNECTED in kinds[:first]
    assert kinds[-1] is not LinkState.CONNECTED


async def test_moments_never_go_back(bench: Bench) -> None:
    receiver = KeepingReceiver()
    async with _run(bench, receiver):
        for _ in range(3):
            await bench.send()
        await wait_until(receiver.values)
    moments = [arrival.mono_ms for arrival in receiver.arrivals]
    assert moments == sorted(moments)


async def test_a_refusing_receiver_gets_nothing_a_device_can_keep(bench: Bench) -> None:
    if not bench.keeps:
        pytest.skip("a line or a broadcast keeps nothing")
    receiver = KeepingReceiver()
    receiver.refuses = True
    async with _run(bench, receiver):
        await bench.send()
        await wait_until(lambda: receiver.asked >= 3, what="it asks, and is refused")
        assert not receiver.values()
        receiver.refuses = False
        await bench.send()
        await wait_until(receiver.values)


async def test_cancelling_leaves_no_descriptor_and_running_again_works(bench: Bench) -> None:
    receiver = KeepingReceiver()
    async with _run(bench, receiver):
        await bench.send()
        await wait_until(receiver.values)
    before = open_descriptors()
    for _ in range(3):
        again = KeepingReceiver()
        async with _run(bench, again):
            await bench.send()
            await wait_until(again.values)
    assert open_descriptors() <= before


async def test_accepting_is_idempotent(bench: Bench) -> None:
    for token in (1, 1, 0):
        bench.transport.accepted(token)
