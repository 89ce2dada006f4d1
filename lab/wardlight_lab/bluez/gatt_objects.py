"""The GATT database of one device on the bus: GattService1, GattCharacteristic1, GattDescriptor1.

Objects stay exported when the link ends, as BlueZ keeps its cache; they go with the device. A
notify session belongs to a D-Bus client, outlives the link, and is taken up again on the next one.

Source  BlueZ doc/org.bluez.GattCharacteristic.rst, org.bluez.GattDescriptor.rst, src/gatt-client.c
        (error texts)
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Protocol

from dbus_fast import Variant

from wardlight_lab.bluez.errors import (
    AttError,
    ReplyError,
    failed,
    not_connected,
    reply_for_att,
)
from wardlight_lab.bluez.faults import Operation
from wardlight_lab.bluez.object_tree import Call, Interface, Method, ObjectTree
from wardlight_lab.bluez.peripheral import CCCD, Characteristic, Peripheral, Security, Service
from wardlight_lab.bluez.radio_link import RadioLink

SERVICE: Final = "org.bluez.GattService1"
CHARACTERISTIC: Final = "org.bluez.GattCharacteristic1"
DESCRIPTOR: Final = "org.bluez.GattDescriptor1"
FIRST_HANDLE: Final = 0x000A
MTU: Final = 247


class Owner(Protocol):
    """The device whose database this is."""

    path: str

    @property
    def is_disconnecting(self) -> bool:
        """Whether a Disconnect is under way."""

    @property
    def link(self) -> RadioLink | None:
        """The link that stands, if any."""

    async def require_encryption(self) -> None:
        """Encrypt the link, pairing where needed. Errors: ReplyError."""


class GattObjects:
    """Exports the services of one peripheral below the path of its device."""

    def __init__(self, tree: ObjectTree, owner: Owner, peripheral: Peripheral) -> None:
        self._tree = tree
        self._owner = owner
        self._peripheral = peripheral
        self._paths: dict[str, str] = {}  # characteristic UUID -> object path
        self._sessions: dict[str, set[str]] = {}  # characteristic UUID -> D-Bus clients
        self.is_exported = False

    def export(self) -> None:
        """Show all services, once; their order and handles carry no meaning."""
        if self.is_exported:
            return
        handles = iter(range(FIRST_HANDLE, 0xFFFF))
        for service in self._peripheral.services:
            self._export_service(service, handles)
        self.is_exported = True

    def withdraw(self) -> None:
        """Take all objects off the bus and end the sessions."""
        self._tree.withdraw_below(f"{self._owner.path}/service")
        self._paths.clear()
        self._sessions.clear()
        self.is_exported = False

    def resubscribe(self, link: RadioLink) -> None:
        """Take up the sessions that outlived the last link."""
        for uuid, clients in self._sessions.items():
            if clients:
                link.subscribe(uuid)

    def deliver(self, uuid: str, value: bytes) -> bool:
        """Pass a notified or indicated value on; False when nobody has a session for it."""
        if not self._sessions.get(uuid):
            return False
        self._show_value(uuid, value)
        return True

    def forget_client(self, sender: str) -> None:
        """A client has left: its sessions end."""
        for uuid in list(self._sessions):
            self._end_session(uuid, sender)

    def _export_service(self, service: Service, handles: Iterator[int]) -> None:
        path = f"{self._owner.path}/service{next(handles):04x}"
        properties = {
            "UUID": Variant("s", service.uuid),
            "Device": Variant("o", self._owner.path),
            "Primary": Variant("b", True),
            "Includes": Variant("ao", []),
        }
        self._tree.export(path, Interface(SERVICE, properties))
        for each in service.characteristics:
            self._export_characteristic(path, each, handles)

    def _export_characteristic(
        self, service_path: str, characteristic: Characteristic, handles: Iterator[int]
    ) -> None:
        path = f"{service_path}/char{next(handles):04x}"
        next(handles)  # the value has a handle of its own
        uuid, flags = characteristic.uuid, characteristic.flags
        properties = {
            "UUID": Variant("s", uuid),
            "Service": Variant("o", service_path),
            "Flags": Variant("as", list(flags)),
            "MTU": Variant("q", MTU),
        }
        if _can_notify(characteristic):
            properties["Notifying"] = Variant("b", False)
        methods = {
            "ReadValue": Method(partial(self._read, characteristic), "a{sv}", "ay"),
            "WriteValue": Method(partial(self._write, characteristic), "aya{sv}"),
            "StartNotify": Method(partial(self._start_notify, characteristic)),
            "StopNotify": Method(partial(self._stop_notify, characteristic)),
        }
        self._paths[uuid] = path
        self._tree.export(path, Interface(CHARACTERISTIC, properties, methods))
        if _can_notify(characteristic):
            self._export_descriptor(path, CCCD, b"\0\0", handles)
        for descriptor, value in characteristic.descriptors:
            self._export_descriptor(path, descriptor, value, handles)

    def _export_descriptor(
        self, characteristic_path: str, uuid: str, value: bytes, handles: Iterator[int]
    ) -> None:
        path = f"{characteristic_path}/desc{next(handles):04x}"
        properties = {
            "UUID": Variant("s", uuid),
            "Characteristic": Variant("o", characteristic_path),
        }
        methods = {
            "ReadValue": Method(partial(self._read_descriptor, value), "a{sv}", "ay"),
            "WriteValue": Method(self._refuse_descriptor_write, "aya{sv}"),
        }
        self._tree.export(path, Interface(DESCRIPTOR, properties, methods))

    async def _read(self, characteristic: Characteristic, call: Call) -> list[Any]:
        await self._begin(characteristic, Operation.READ)
        try:
            value = await self._peripheral.on_read(characteristic.uuid)
        except AttError as error:
            raise reply_for_att(error.code) from error
        self._require_link()
        (options,) = call.arguments
        value = value[options["offset"].value if "offset" in options else 0 :]
        # BlueZ shows a value it has read as a change too: a notifying client sees it twice.
        self._show_value(characteristic.uuid, value)
        return [value]

    async def _write(self, characteristic: Characteristic, call: Call) -> list[Any]:
        value, options = call.arguments
        kind = options["type"].value if "type" in options else "request"
        wanted = "write" if kind == "request" else "write-without-response"
        if wanted not in characteristic.flags:
            raise ReplyError("NotSupported", "Operation is not supported")
        await self._begin(characteristic, Operation.WRITE)
        try:
            await self._peripheral.on_write(characteristic.uuid, bytes(value))
        except AttError as error:
            raise reply_for_att(error.code) from error
        return []

    async def _start_notify(self, characteristic: Characteristic, call: Call) -> list[Any]:
        uuid = characteristic.uuid
        if self._owner.is_disconnecting:
            raise not_connected()
        if not _can_notify(characteristic):
            raise ReplyError("NotSupported", "Operation is not supported")
        clients = self._sessions.setdefault(uuid, set())
        if call.sender in clients:
            return []
        if self._owner.link is not None:
            await self._begin(characteristic, Operation.START_NOTIFY)
            is_first = not clients
            clients.add(call.sender)
            if is_first:
                self._change(uuid, {"Notifying": Variant("b", True)})
                self._require_link().subscribe(uuid)
        clients.add(call.sender)
        return []

    async def _stop_notify(self, characteristic: Characteristic, call: Call) -> list[Any]:
        if call.sender not in self._sessions.get(characteristic.uuid, ()):
            raise failed("No notify session started")
        self._end_session(characteristic.uuid, call.sender)
        return []

    def _end_session(self, uuid: str, sender: str) -> None:
        clients = self._sessions.get(uuid, set())
        if sender not in clients:
            return
        clients.discard(sender)
        if not clients:
            self._change(uuid, {"Notifying": Variant("b", False)})
            if self._owner.link is not None:
                self._owner.link.unsubscribe(uuid)

    async def _begin(self, characteristic: Characteristic, operation: Operation) -> None:
        """What every attribute request goes through: link, scripted faults, encryption."""
        self._require_link()
        faults = self._peripheral.faults
        if operation in faults.hang:
            await asyncio.Event().wait()
        code = faults.next_att_error(characteristic.uuid, operation)
        if code is not None:
            raise reply_for_att(code)
        if characteristic.security is Security.ENCRYPTED:
            await self._owner.require_encryption()
        self._require_link()

    async def _read_descriptor(self, value: bytes, call: Call) -> list[Any]:
        del call
        self._require_link()
        return [value]

    async def _refuse_descriptor_write(self, call: Call) -> list[Any]:
        del call
        raise ReplyError("NotPermitted", "Write not permitted")

    def _require_link(self) -> RadioLink:
        if self._owner.link is None:
            raise failed("Not connected")
        return self._owner.link

    def _show_value(self, uuid: str, value: bytes) -> None:
        self._change(uuid, {"Value": Variant("ay", value)})

    def _change(self, uuid: str, changed: dict[str, Variant]) -> None:
        if uuid in self._paths:
            self._tree.change(self._paths[uuid], CHARACTERISTIC, changed)


def _can_notify(characteristic: Characteristic) -> bool:
    return "notify" in characteristic.flags or "indicate" in characteristic.flags
