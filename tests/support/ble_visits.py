"""The Bluetooth transport against the fake BlueZ: devices to visit, and who visits them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from support.keeping_receiver import KeepingReceiver
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.base import DeviceClockSetter, RadioState
from wardlight_edge.transports.ble_agent import Operator
from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_edge.transports.ble_device import BleTransport
from wardlight_edge.transports.ble_stack import BleStack
from wardlight_lab.bluez import Link
from wardlight_lab.devices.blood_pressure_cuff import BloodPressureCuff
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.stored_records import Habit
from wardlight_shared.profile import Profile, parse

_CUFF = """
schema = 1
decoder = "blood_pressure"
[device]
manufacturer = "generic"
model = "cuff"
[transport.ble]
indicate = ["0x2A35"]
read_once = ["0x2A29", "0x2A24", "0x2A25", "0x2A19", "0x2A2B"]
set_clock = "0x2A2B"
idle_timeout_s = 10
[[metric]]
name = "systolic_bp"
"""
CUFF: Profile = parse(_CUFF, source="cuff.toml")
"""A cuff that is read and whose clock is set."""


def changed(profile: Profile, **ble: object) -> Profile:
    """The profile with other [transport.ble] keys."""
    assert profile.transport.ble is not None
    transport = msgspec.structs.replace(profile.transport.ble, **ble)
    return msgspec.structs.replace(
        profile, transport=msgspec.structs.replace(profile.transport, ble=transport)
    )


class WatchedCuff(BloodPressureCuff):
    """A cuff that advertises often, hangs up soon, and writes down what the gateway does."""

    def __init__(self, equipment: Equipment | None = None, habit: Habit | None = None) -> None:
        equipment = equipment or Equipment()
        equipment.advertising_interval_s = 0.05
        habit = habit or Habit(linger=0.05, advertise=60)
        super().__init__("patient", PatientVitals("patient"), equipment=equipment, habit=habit)
        self.done: list[str] = []
        self._minutes = 0

    def record(self, count: int = 1) -> None:
        """Store measurements, a minute apart, and advertise."""
        for _ in range(count):
            self._minutes += 1
            self.measure(datetime(2026, 8, 1, 7, tzinfo=UTC) + timedelta(minutes=self._minutes))

    def sent(self) -> list[bytes]:
        """What it counts as sent: the values whose indication was confirmed."""
        return [bytes.fromhex(entry.payload) for entry in self.ledger if entry.acknowledged]

    async def on_connected(self, link: Link) -> None:
        """Note it."""
        self.done.append("connected")
        await super().on_connected(link)

    async def on_subscribed(self, link: Link, uuid: str) -> None:
        """Note it."""
        self.done.append(f"subscribed {uuid[4:8]}")
        await super().on_subscribed(link, uuid)

    async def on_read(self, uuid: str) -> bytes:
        """Note it."""
        self.done.append(f"read {uuid[4:8]}")
        return await super().on_read(uuid)

    async def on_write(self, uuid: str, value: bytes) -> None:
        """Note it."""
        self.done.append(f"wrote {uuid[4:8]}")
        await super().on_write(uuid, value)


class NoClock:
    """A clock setter that leaves every clock alone."""

    def octets_for(self, channel: str, shown: bytes | None) -> bytes | None:
        """Nothing to write."""
        del channel, shown
        return None

    def written(self, channel: str) -> None:
        """Never called."""
        raise AssertionError(channel)


class Visiting:
    """One device's transport on its own stack."""

    def __init__(self, folder: Path) -> None:
        self.receiver = KeepingReceiver()
        self.bonds = Bonds(folder / "bonds.json")
        self.radios: dict[str, RadioState] = {}
        self.clock = SystemClock()
        self.stack: BleStack
        self.transport: BleTransport

    def report(self, state: RadioState) -> None:
        """Keep an adapter's newest state."""
        self.radios[state.adapter] = state


Visit = Callable[..., AbstractAsyncContextManager[Visiting]]


@asynccontextmanager
async def visiting(
    folder: Path,
    identity: str,
    profile: Profile = CUFF,
    *,
    settings: BleSettings | None = None,
    setter: DeviceClockSetter | None = None,
    operator: Operator | None = None,
    retry_s: float = 0.1,
    repair_s: float = 0.2,
) -> AsyncIterator[Visiting]:
    """A transport that visits a device as long as the context lasts, with impatient knobs."""
    made = Visiting(folder)
    address = ":".join(identity[4:][at : at + 2] for at in range(0, 12, 2))
    made.stack = BleStack(
        settings or BleSettings(connect_timeout_s=5.0),
        [address],
        made.bonds,
        made.clock,
        operator=operator,
        report=made.report,
        retry_s=retry_s,
    )
    setter = setter or NoClock()
    made.transport = BleTransport(
        identity, profile, made.stack, setter, made.clock, repair_s=repair_s
    )
    tasks = [
        asyncio.create_task(made.stack.run(), name="stack"),
        asyncio.create_task(made.transport.run(made.receiver), name="transport"),
    ]
    try:
        yield made
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait({task})
        for task in tasks:
            if not task.cancelled():
                task.result()


def open_descriptors() -> int:
    """File descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
