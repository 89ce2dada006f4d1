"""One Bluetooth adapter (Adapter1): power, discovery, and the devices it knows.

Source  BlueZ doc/org.bluez.Adapter.rst, src/adapter.c
"""

import asyncio
from typing import Any, Final

from dbus_fast import Variant

from wardlight_lab.bluez.connection import Host
from wardlight_lab.bluez.discovery import (
    DiscoverySessions,
    advertised_properties,
    changed_properties,
    received_rssi,
)
from wardlight_lab.bluez.errors import does_not_exist, not_ready
from wardlight_lab.bluez.faults import AdapterFaults
from wardlight_lab.bluez.object_tree import Call, Interface, Method, Properties
from wardlight_lab.bluez.peripheral import Peripheral
from wardlight_lab.bluez.receiver import Receiver
from wardlight_lab.bluez.remote_device import DEVICE, RemoteDevice

ADAPTER: Final = "org.bluez.Adapter1"


class Adapter:
    """An adapter such as hci0.

    threshold_db  see `discovery.changed_properties`
    """

    def __init__(self, host: Host, name: str, address: str, *, threshold_db: int = 0) -> None:
        self._host = host
        self._threshold_db = threshold_db
        self._sessions = DiscoverySessions()
        self._devices: dict[str, RemoteDevice] = {}
        self._heard: dict[str, int] = {}
        self._expiry: dict[str, asyncio.TimerHandle] = {}
        self._receiver = Receiver(name, self._report, host.timing.hearing)
        self.name = name
        self.address = address
        self.path = f"/org/bluez/{name}"
        self.faults = AdapterFaults()
        self.is_powered = True

    @property
    def is_discovering(self) -> bool:
        """Whether any client has discovery on."""
        return bool(self._sessions)

    def start(self) -> None:
        """Show the adapter and the devices it is bonded with."""
        self._host.tree.export(self.path, self._interface())
        for address, bond in self._host.bonds.of_adapter(self.address).items():
            properties: Properties = {
                "AddressType": Variant("s", bond.address_type),
                "Alias": Variant("s", bond.name or address.replace(":", "-")),
                "UUIDs": Variant("as", bond.service_uuids),
            }
            if bond.name:
                properties["Name"] = Variant("s", bond.name)
            self._show(RemoteDevice(self._host, self, address, None), properties)

    async def stop(self) -> None:
        """Take the adapter off the bus (unplugged); bonds stay."""
        self._sessions.clear()
        self._receiver.close()
        for address in list(self._devices):
            await self._withdraw(address)
        self._host.tree.withdraw(self.path)

    def add(self, peripheral: Peripheral) -> None:
        """Bring a peripheral into range."""
        known = self._devices.get(peripheral.address)
        if known is not None:
            known.attach(peripheral)
        self._receiver.add(peripheral)

    async def remove(self, peripheral: Peripheral) -> None:
        """Take a peripheral out of range for good."""
        self._receiver.remove(peripheral)
        await self._withdraw(peripheral.address)

    def device(self, address: str) -> RemoteDevice | None:
        """The device object for an address, when the adapter knows it."""
        return self._devices.get(address.upper())

    def heard_count(self, address: str) -> int:
        """How many advertisements of a device the adapter has heard."""
        return self._heard.get(address.upper(), 0)

    def forget_client(self, sender: str) -> None:
        """A client has left: its discovery and its notify sessions end."""
        if self._sessions.forget(sender):
            self._discovery_changed()
        for device in self._devices.values():
            if device.gatt is not None:
                device.gatt.forget_client(sender)

    async def set_powered(self, value: bool) -> None:
        """Switch the adapter; without power, links and discovery end."""
        if value == self.is_powered:
            return
        self.is_powered = value
        if not value:
            self._sessions.clear()
            self._discovery_changed()
            for device in list(self._devices.values()):
                await device.disconnect()
        self._change({"Powered": Variant("b", value)})

    def _interface(self) -> Interface:
        properties: Properties = {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", "wardlight-lab"),
            "Alias": Variant("s", "wardlight-lab"),
            "Class": Variant("u", 0),
            "Powered": Variant("b", self.is_powered),
            "Discoverable": Variant("b", False),
            "DiscoverableTimeout": Variant("u", 180),
            "Pairable": Variant("b", True),
            "PairableTimeout": Variant("u", 0),
            "Discovering": Variant("b", False),
            "UUIDs": Variant("as", []),
            "Modalias": Variant("s", "usb:v1D6Bp0246d0542"),
            "Roles": Variant("as", ["central", "peripheral"]),
        }
        methods = {
            "StartDiscovery": Method(self._start_discovery),
            "StopDiscovery": Method(self._stop_discovery),
            "SetDiscoveryFilter": Method(self._set_filter, "a{sv}"),
            "RemoveDevice": Method(self._remove_device, "o"),
        }
        setters = {"Powered": self.set_powered, "Pairable": self._set_pairable}
        return Interface(ADAPTER, properties, methods, setters)

    async def _set_filter(self, call: Call) -> list[Any]:
        self._sessions.set_filter(call.sender, call.arguments[0])
        return []

    async def _start_discovery(self, call: Call) -> list[Any]:
        if not self.is_powered:
            raise not_ready()
        if self.faults.start_discovery:
            raise self.faults.start_discovery.popleft()
        self._sessions.begin(call.sender)
        self._discovery_changed()
        return []

    async def _stop_discovery(self, call: Call) -> list[Any]:
        if not self.is_powered:
            raise not_ready()
        if self.faults.stop_discovery:
            raise self.faults.stop_discovery.popleft()
        self._sessions.end(call.sender)
        self._discovery_changed()
        return []

    async def _remove_device(self, call: Call) -> list[Any]:
        (path,) = call.arguments
        device = next((each for each in self._devices.values() if each.path == path), None)
        if device is None:
            raise does_not_exist()
        if not self.is_powered:
            raise not_ready()
        await device.forget()
        self._drop(device.address)
        return []

    async def _set_pairable(self, value: bool) -> None:
        self._change({"Pairable": Variant("b", bool(value))})

    def _discovery_changed(self) -> None:
        """Start or stop listening, as the sessions ask; a stop makes the last RSSI invalid."""
        if self._sessions and not self._receiver.is_on:
            self._receiver.switch_on()
            self._change({"Discovering": Variant("b", True)})
        elif not self._sessions and self._receiver.is_on:
            self._receiver.switch_off()
            self._change({"Discovering": Variant("b", False)})
            for device in self._devices.values():
                self._host.tree.change(device.path, DEVICE, {}, ("RSSI", "TxPower"))

    def _report(self, peripheral: Peripheral) -> None:
        if self.faults.silent:
            return
        address = peripheral.address
        count = self._heard.get(address, 0)
        self._heard[address] = count + 1
        rssi = received_rssi(peripheral, self.name, count)
        if not self._sessions.wants(peripheral, rssi):
            return
        heard = advertised_properties(peripheral)
        device = self._devices.get(address)
        if device is None:
            device = RemoteDevice(self._host, self, address, peripheral)
            self._show(device, heard | {"RSSI": Variant("n", rssi)})
        else:
            known = self._host.tree.interface(device.path, DEVICE).properties
            threshold = 0 if self._sessions.wants_every_rssi() else self._threshold_db
            repeat = self._sessions.wants_duplicates()
            heard.pop("UUIDs")  # what has been resolved once is more than what is advertised
            changed = changed_properties(
                known, heard, rssi, threshold_db=threshold, repeat_data=repeat
            )
            self._host.tree.change(device.path, DEVICE, changed)
        self._expect(device)

    def _expect(self, device: RemoteDevice) -> None:
        """Keep an unbonded device for TemporaryTimeout from now."""
        self._cancel_expiry(device.address)
        if device.is_temporary:
            loop = asyncio.get_running_loop()
            timeout = self._host.timing.temporary_timeout
            self._expiry[device.address] = loop.call_later(timeout, self._expire, device)

    def _expire(self, device: RemoteDevice) -> None:
        if device.is_temporary and self._devices.get(device.address) is device:
            device.withdraw()
            self._drop(device.address)

    def _show(self, device: RemoteDevice, properties: Properties) -> None:
        self._devices[device.address] = device
        self._host.tree.export(device.path, device.interface(properties))

    async def _withdraw(self, address: str) -> None:
        device = self._devices.get(address)
        if device is not None:
            await device.close()
            self._drop(address)

    def _drop(self, address: str) -> None:
        self._cancel_expiry(address)
        self._devices.pop(address, None)

    def _cancel_expiry(self, address: str) -> None:
        timer = self._expiry.pop(address, None)
        if timer is not None:
            timer.cancel()

    def _change(self, changed: Properties) -> None:
        self._host.tree.change(self.path, ADAPTER, changed)
