"""Our own connection to the system D-Bus: pairing agent, adapter power, and bluetoothd's health.

bleak scans and connects over connections of its own; it registers no agent, cannot switch an
adapter and does not say that bluetoothd was restarted.

Errors  BleError: NO_BUS, NO_BLUEZ, NO_ADAPTER, POWERED_OFF, TIMEOUT
Source  BlueZ doc/org.bluez.AgentManager.rst, org.bluez.Adapter.rst, org.bluez.Device.rst
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusError, InvalidAddressError

from wardlight_edge.transports import ble_agent
from wardlight_edge.transports.ble_errors import BleError, Trouble, trouble_of_dbus

TIMEOUT_S: Final = 10.0
_BLUEZ: Final = "org.bluez"
_DBUS: Final = "org.freedesktop.DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_OBJECTS: Final = "org.freedesktop.DBus.ObjectManager"
_ADAPTER: Final = "org.bluez.Adapter1"
_DEVICE: Final = "org.bluez.Device1"
_AGENTS: Final = ("/org/bluez", "org.bluez.AgentManager1")
_RULES: Final = (
    f"type='signal',sender='{_DBUS}',interface='{_DBUS}',member='NameOwnerChanged',arg0='{_BLUEZ}'",
    f"type='signal',sender='{_BLUEZ}',interface='{_DEVICE}',member='Disconnected'",
    f"type='signal',sender='{_BLUEZ}',interface='{_PROPERTIES}',arg0='{_ADAPTER}'",
)
_WITHOUT_BLUEZ: Final = {
    Trouble.NO_BLUEZ: "bluetoothd is not running: systemctl start bluetooth",
    Trouble.NO_BUS: "the system D-Bus refuses: add the gateway's user to the group bluetooth",
}
_logger = logging.getLogger(__name__)


class SystemBus:
    """One connection, with our agent registered as the default one.

    adapter_changed  told the name of an adapter that came, went or lost its power
    key_refused      told the D-Bus path of a device whose link ended because our key was refused
                     (Device1.Disconnected, BlueZ 5.82 and later)
    """

    def __init__(
        self,
        agent: ble_agent.PairingAgent,
        adapters: Iterable[str],
        adapter_changed: Callable[[str], None],
        key_refused: Callable[[str], None],
    ) -> None:
        self._agent = agent
        self._adapters = tuple(adapters)
        self._adapter_changed = adapter_changed
        self._key_refused = key_refused
        self._bus: MessageBus | None = None
        self._lost = asyncio.Event()
        self._answers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            self._bus = MessageBus(bus_type=BusType.SYSTEM)
            async with asyncio.timeout(TIMEOUT_S):
                await self._bus.connect()
        except (OSError, InvalidAddressError) as error:
            self._close()
            text = "no system D-Bus: apt install dbus bluez, or start dbus"
            raise BleError(Trouble.NO_BUS, text) from error
        except AuthError as error:
            self._close()
            text = "the system D-Bus refuses this user: add it to the group bluetooth"
            raise BleError(Trouble.NO_BUS, text) from error
        try:
            await self._begin()
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self._close()

    async def wait_lost(self) -> None:
        """Return when the bus or bluetoothd has gone, or bluetoothd was restarted."""
        bus = self._connected()
        gone = asyncio.ensure_future(_disconnected(bus))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({gone, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            lost.cancel()
            await asyncio.gather(gone, lost, return_exceptions=True)

    async def is_powered(self, adapter: str) -> bool:
        """Whether an adapter has power. BleError NO_ADAPTER: it is not there."""
        path, body = f"/org/bluez/{adapter}", [_ADAPTER, "Powered"]
        try:
            reply = await self.call(_BLUEZ, path, _PROPERTIES, "Get", "ss", body)
        except BleError as error:
            if error.trouble is Trouble.NO_BLUEZ:
                raise
            raise BleError(Trouble.NO_ADAPTER, f"adapter {adapter} not found") from error
        return bool(reply[0].value)

    async def set_powered(self, adapter: str, *, on: bool) -> None:
        """Switch an adapter."""
        body = [_ADAPTER, "Powered", Variant("b", on)]
        await self.call(_BLUEZ, f"/org/bluez/{adapter}", _PROPERTIES, "Set", "ssv", body)

    async def remove_device(self, adapter: str, address: str) -> None:
        """Drop the bond and all that BlueZ knows of a device. BleError GONE: it knows nothing."""
        path = f"/org/bluez/{adapter}"
        device = f"{path}/dev_{address.replace(':', '_')}"
        await self.call(_BLUEZ, path, _ADAPTER, "RemoveDevice", "o", [device])

    async def end_link(self, adapter: str, address: str) -> bool:
        """End a link that BlueZ holds to a device; False when there is none."""
        device = f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"
        try:
            reply = await self.call(
                _BLUEZ, device, _PROPERTIES, "Get", "ss", [_DEVICE, "Connected"]
            )
            if not reply[0].value:
                return False
            await self.call(_BLUEZ, device, _DEVICE, "Disconnect")
        except BleError as error:
            if error.trouble in {Trouble.NO_BUS, Trouble.NO_BLUEZ}:
                raise
            return False  # BlueZ does not know the device, or the link has just ended
        return True

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: list[Any] | None = None,
    ) -> list[Any]:
        """Call a method, return the reply's body."""
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body or [],
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await self._connected().call(message)
        except TimeoutError as error:
            raise BleError(
                Trouble.TIMEOUT, f"{member}: no answer within {TIMEOUT_S:g} s"
            ) from error
        except (OSError, EOFError, DBusError) as error:
            raise BleError(Trouble.NO_BUS, f"{member}: the system D-Bus is gone") from error
        if reply.message_type is MessageType.ERROR:
            name, text = reply.error_name or "", str(reply.body[0]) if reply.body else ""
            raise BleError(trouble_of_dbus(name, text), f"{member}: {text or name}")
        return list(reply.body)

    async def _begin(self) -> None:
        self._connected().add_message_handler(self._on_message)
        comes_or_goes = (
            f"type='signal',sender='{_BLUEZ}',interface='{_OBJECTS}',arg0path='/org/bluez/{name}'"
            for name in self._adapters
        )
        for rule in (*_RULES, *comes_or_goes):
            await self.call(_DBUS, "/org/freedesktop/DBus", _DBUS, "AddMatch", "s", [rule])
        try:
            await self._register_agent()
        except BleError as error:
            reason = _WITHOUT_BLUEZ.get(error.trouble)
            if reason is None:
                raise
            raise BleError(error.trouble, reason) from error

    async def renew_agent(self) -> None:
        """Register the agent anew: what it can do has changed."""
        await self.call(_BLUEZ, *_AGENTS, "UnregisterAgent", "o", [ble_agent.PATH])
        await self._register_agent()

    async def _register_agent(self) -> None:
        registration = [ble_agent.PATH, self._agent.capability]
        await self.call(_BLUEZ, *_AGENTS, "RegisterAgent", "os", registration)
        await self.call(_BLUEZ, *_AGENTS, "RequestDefaultAgent", "o", [ble_agent.PATH])

    def _connected(self) -> MessageBus:
        if self._bus is None:
            raise BleError(Trouble.NO_BUS, "no system D-Bus")
        return self._bus

    def _close(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    # -- what comes from the bus

    def _on_message(self, message: Message) -> bool:
        if message.message_type is MessageType.METHOD_CALL:
            if message.interface != ble_agent.INTERFACE or message.path != ble_agent.PATH:
                return False
            name = f"pairing agent {message.member}"
            task = asyncio.get_running_loop().create_task(self._answer(message), name=name)
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
            return True
        if message.message_type is MessageType.SIGNAL:
            self._on_signal(message)
        return False

    def _on_signal(self, message: Message) -> None:
        body, path = message.body, message.path or ""
        match message.member:
            case "NameOwnerChanged" if body[0] == _BLUEZ:
                _logger.warning("bluetoothd changed", extra={"running": bool(body[2])})
                self._lost.set()
            case "Disconnected" if body and body[0] == "org.bluez.Reason.Authentication":
                self._key_refused(path)
            case "PropertiesChanged" if body[0] == _ADAPTER and "Powered" in body[1]:
                self._adapter_changed(path.rpartition("/")[2])
            case "InterfacesAdded" | "InterfacesRemoved" if _ADAPTER in body[1]:
                self._adapter_changed(str(body[0]).rpartition("/")[2])

    async def _answer(self, message: Message) -> None:
        try:
            signature, body = await self._agent.answer(message.member or "", message.body)
            reply = Message.new_method_return(message, signature, body)
        except ble_agent.Refusal as refusal:
            reply = Message.new_error(message, ble_agent.REJECTED, str(refusal))
        if self._bus is not None and not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._bus.send(reply).add_done_callback(_forget)


async def _disconnected(bus: MessageBus) -> None:
    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast annotates nothing


def _forget(sent: asyncio.Future[None]) -> None:
    """An answer that finds no bus is missed by nobody; ``wait_lost`` tells of the bus."""
    if not sent.cancelled():
        sent.exception()
