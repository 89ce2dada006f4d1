"""Scripting the devices of a running emulator from another process, over its own bus.

    await command(bus_address, device, "measure")
    await command(bus_address, device, "faults", drop_after=[2], lose_first=1)

Actions  measure | hang_up | drop_link | forget_bonds
         in_range (value) | finger_out (value) | battery (value)
         faults (fields of DeviceFaults) | adapter_faults (adapter, silent) | pending
Errors   ControlError: no such device, action or field
"""

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from wardlight_lab.bluez import EmulationError, FakeBluez, Operation, ReplyError
from wardlight_lab.bluez.object_tree import Call, Interface, Method
from wardlight_lab.bluez.radio_link import RadioLink, Reason
from wardlight_lab.devices.emulated import EmulatedDevice
from wardlight_lab.devices.pulse_oximeter import PulseOximeter
from wardlight_lab.devices.record_access import RecordAccessDevice
from wardlight_lab.devices.stored_records import StoredRecordDevice

PATH: Final = "/org/wardlight/lab"
INTERFACE: Final = "org.wardlight.Lab1"


class ControlError(EmulationError):
    """The emulator refused a command."""


class Control:
    """The D-Bus object that takes commands: one method, JSON in and out."""

    def __init__(self, bluez: FakeBluez, devices: list[EmulatedDevice]) -> None:
        self._bluez = bluez
        self._devices = {each.address: each for each in devices}

    def interface(self) -> Interface:
        """For `FakeBluez.export`."""
        return Interface(INTERFACE, methods={"Do": Method(self._do, "sss", "s")})

    async def _do(self, call: Call) -> list[Any]:
        address, action, text = call.arguments
        device = self._devices.get(address.upper())
        if device is None or action not in _ACTIONS:
            raise ReplyError("InvalidArguments", f"no device {address} or no action {action}")
        try:
            result = _ACTIONS[action](self._bluez, device, json.loads(text))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ReplyError("InvalidArguments", f"{action}: {error!r}") from error
        return [json.dumps(result)]


async def command(bus_address: str, device: str, action: str, **arguments: object) -> Any:
    """Send one command to an emulator and return its answer. Errors: ControlError."""
    bus = MessageBus(bus_address=bus_address)
    try:
        await bus.connect()
        reply = await bus.call(
            Message(
                destination="org.bluez",
                path=PATH,
                interface=INTERFACE,
                member="Do",
                signature="sss",
                body=[device, action, json.dumps(arguments)],
            )
        )
    finally:
        bus.disconnect()
    if reply.message_type is MessageType.ERROR:
        raise ControlError(str(reply.body[0]) if reply.body else str(reply.error_name))
    return json.loads(reply.body[0])


Arguments = dict[str, Any]


def _measure(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del bluez, arguments
    if isinstance(device, RecordAccessDevice):
        return device.measure().parts[0].values
    return _storing(device).measure().values


def _pending(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del bluez, arguments
    return len(_storing(device).pending)


def _end_link(reason: Reason) -> Callable[[FakeBluez, EmulatedDevice, Arguments], object]:
    def end(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
        del bluez, arguments
        if isinstance(device.link, RadioLink):
            device.link.end(reason)
            return True
        return False

    return end


def _forget_bonds(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del arguments
    bluez.reset(device)
    return True


def _in_range(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del bluez
    device.in_range = bool(arguments["value"])
    return device.in_range


def _finger_out(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del bluez
    if not isinstance(device, PulseOximeter):
        raise TypeError("only an oximeter has a finger in it")
    device.finger_out = bool(arguments["value"])
    return device.finger_out


def _battery(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del bluez
    device.battery = int(arguments["value"])
    return device.battery


def _faults(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del bluez
    for name, value in arguments.items():
        if name == "drop_after":
            device.faults.drop_after = deque(value)
        elif name == "hang":
            device.faults.hang = {Operation(each) for each in value}
        elif isinstance(getattr(device.faults, name), bool | int):
            setattr(device.faults, name, value)
        else:
            raise ValueError(f"{name} cannot be set from outside")
    return True


def _adapter_faults(bluez: FakeBluez, device: EmulatedDevice, arguments: Arguments) -> object:
    del device
    bluez.adapter(arguments["adapter"]).faults.silent = bool(arguments["silent"])
    return True


def _storing(device: EmulatedDevice) -> StoredRecordDevice:
    if not isinstance(device, StoredRecordDevice):
        raise TypeError("this device streams, it stores no records")
    return device


_ACTIONS: Final[dict[str, Callable[[FakeBluez, EmulatedDevice, Arguments], object]]] = {
    "measure": _measure,
    "pending": _pending,
    "hang_up": _end_link(Reason.REMOTE),
    "drop_link": _end_link(Reason.TIMEOUT),
    "forget_bonds": _forget_bonds,
    "in_range": _in_range,
    "finger_out": _finger_out,
    "battery": _battery,
    "faults": _faults,
    "adapter_faults": _adapter_faults,
}
