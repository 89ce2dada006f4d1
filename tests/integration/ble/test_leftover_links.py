"""A gateway that was killed leaves its links to BlueZ; the next one must not wait for ever."""

from pathlib import Path

import pytest
from dbus_fast import BusType, Message
from dbus_fast.aio import MessageBus

from support.running_gateway import running_gateway
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_lab.bluez import FakeBluez, Pairing
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter
from wardlight_shared.profile import parse

pytestmark = pytest.mark.dbus
OXIMETER = parse(
    """
schema = 1
decoder = "pulse_oximeter"
device = { manufacturer = "generic", model = "oximeter" }
stream = { block_s = 2 }
[transport.ble]
notify = ["0x2A5F"]
stay_connected = true
bond = false
idle_timeout_s = 30
[[metric]]
name = "spo2"
""",
    source="oximeter.toml",
)


class Killed:
    """A client of BlueZ that connects to a device and is gone without a word."""

    def __init__(self, address: str) -> None:
        self._bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM)

    async def connect(self, device: PulseOximeter) -> None:
        await self._bus.connect()
        await self._call("/org/bluez/hci0", "org.bluez.Adapter1", "StartDiscovery")
        path = f"/org/bluez/hci0/dev_{device.address.replace(':', '_')}"
        await wait_until(lambda: self._call(path, "org.bluez.Device1", "Connect"))
        self._bus.disconnect()

    async def _call(self, path: str, interface: str, member: str) -> bool:
        message = Message(destination="org.bluez", path=path, interface=interface, member=member)
        reply = await self._bus.call(message)
        return reply is not None and reply.error_name is None


async def test_a_device_that_is_still_connected_is_freed_and_visited(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    equipment = Equipment(pairing=Pairing.NONE, advertising_interval_s=0.05)
    oximeter = PulseOximeter("patient", PatientVitals("patient"), equipment=equipment, speed=20)
    bluez.add(oximeter)
    await Killed(bluez.address).connect(oximeter)
    assert oximeter.link is not None
    assert oximeter.link.is_up
    device = DeviceSettings(identity=oximeter.identity_text, profile="oximeter")
    async with running_gateway(tmp_path, {"oximeter": OXIMETER}, device) as run:
        await wait_until(run.outbox.blocks)
