"""The connection of the fake to its bus: answers calls, sends signals, notices clients that leave.

Every method call is answered by a task of its own, because a Connect or a pairing takes its time.
The standard interfaces (Properties, ObjectManager, Introspectable) are answered here from the
ObjectTree.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from dbus_fast import Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus

from wardlight_lab.bluez.errors import BusStartError, ReplyError
from wardlight_lab.bluez.introspection import describe
from wardlight_lab.bluez.object_tree import OBJECT_MANAGER, PROPERTIES, Call, Method, ObjectTree

BUS_NAME: Final = "org.bluez"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PEER: Final = "org.freedesktop.DBus.Peer"
CONNECT_TIMEOUT_S: Final = 10.0
OWNER_RULE: Final = (
    "type='signal',sender='org.freedesktop.DBus',"
    "interface='org.freedesktop.DBus',member='NameOwnerChanged'"
)

_logger = logging.getLogger(__name__)


class ClientWatcher(Protocol):
    """Somebody who keeps state for a D-Bus client and must drop it when the client leaves."""

    def forget_client(self, sender: str) -> None:
        """The client with this unique name has left the bus."""


class BusService:
    """Owns the name `org.bluez` on the bus at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._bus: MessageBus | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._watchers: list[ClientWatcher] = []
        self.tree = ObjectTree(self.send)

    async def start(self) -> None:
        """Connect, watch the clients, take the name. Errors: BusStartError."""
        self._bus = MessageBus(bus_address=self._address)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._bus.connect()
                self._bus.add_message_handler(self._on_message)
                await self.call("org.freedesktop.DBus", "AddMatch", "s", [OWNER_RULE])
                await self._bus.request_name(BUS_NAME)
        except (OSError, TimeoutError) as error:
            raise BusStartError(f"cannot serve {BUS_NAME} at {self._address}: {error}") from error

    async def stop(self) -> None:
        """Cancel what is being answered and leave the bus."""
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        if self._bus is not None:
            self._bus.disconnect()
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call] # dbus-fast has none
            self._bus = None

    def watch_clients(self, watcher: ClientWatcher) -> None:
        """Tell `watcher` about every client that leaves from now on."""
        self._watchers.append(watcher)

    def unwatch_clients(self, watcher: ClientWatcher) -> None:
        """Tell this watcher no more."""
        self._watchers.remove(watcher)

    def send(self, message: Message) -> None:
        """Queue a message; on a closed bus it is dropped, as the kernel would."""
        if self._bus is not None and self._bus.connected:
            self._bus.send(message).add_done_callback(_drop_result)

    async def call(
        self,
        destination: str,
        member: str,
        signature: str = "",
        body: list[Any] | None = None,
        *,
        path: str = "/org/freedesktop/DBus",
        interface: str = "org.freedesktop.DBus",
    ) -> list[Any]:
        """Call a method of another client. Errors: ReplyError with the client's error name."""
        if self._bus is None:
            raise ReplyError("org.freedesktop.DBus.Error.Disconnected", "the bus is closed")
        reply = await self._bus.call(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body or [],
            )
        )
        if reply.message_type is MessageType.ERROR:
            raise ReplyError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
        return reply.body

    def notify_call(self, destination: str, path: str, interface: str, member: str) -> None:
        """Call a method of another client without waiting for its answer."""
        self.send(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
        )

    def _on_message(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            self._on_signal(message)
            return False
        if message.message_type is not MessageType.METHOD_CALL or message.interface == PEER:
            return False
        name = f"bluez {message.member} {message.path}"
        task = asyncio.get_running_loop().create_task(self._answer(message), name=name)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return True

    def _on_signal(self, message: Message) -> None:
        if message.member != "NameOwnerChanged" or message.sender != "org.freedesktop.DBus":
            return
        name, _, new_owner = message.body
        if not new_owner:
            for watcher in tuple(self._watchers):
                watcher.forget_client(name)

    async def _answer(self, message: Message) -> None:
        try:
            method = self._find(message)
            body = await method.handler(Call(message.sender or "", message.body))
            reply = Message.new_method_return(message, method.gives, body)
        except ReplyError as error:
            reply = Message.new_error(message, error.name, error.text)
        except Exception:  # one broken device must not end the service for the others
            _logger.exception("method failed", extra={"member": message.member})
            reply = Message.new_error(message, "org.bluez.Error.Failed", "Internal error")
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self.send(reply)

    def _find(self, message: Message) -> Method:
        path, member = message.path or "", message.member or ""
        if (message.interface, member) == (PROPERTIES, "Set"):
            return Method(partial(self._set_property, path), "ssv")
        standard = _STANDARD.get((message.interface or "", member))
        if standard is None:
            return _fitting(self.tree.method(path, message.interface, member), message)
        takes, gives, answer = standard

        async def handler(call: Call) -> list[Any]:
            return answer(self.tree, path, call.arguments)

        return Method(handler, takes, gives)

    async def _set_property(self, path: str, call: Call) -> list[Any]:
        name, key, value = call.arguments
        setters = self.tree.interface(path, name).setters
        if key not in setters:
            raise ReplyError("org.freedesktop.DBus.Error.PropertyReadOnly", f"cannot set {key}")
        await setters[key](value.value)
        return []


def _fitting(method: Method, message: Message) -> Method:
    if (message.signature or "") != method.takes:
        raise ReplyError("InvalidArguments", f"{message.member} takes ({method.takes})")
    return method


def _drop_result(future: asyncio.Future[Any]) -> None:
    """What could not be sent is lost, as on a real bus; asyncio must not report it as unseen."""
    if not future.cancelled():
        future.exception()


def _get_property(tree: ObjectTree, path: str, arguments: list[Any]) -> list[Any]:
    name, key = arguments
    properties = tree.interface(path, name).properties
    if key not in properties:
        raise ReplyError("org.freedesktop.DBus.Error.InvalidArgs", f"no such property '{key}'")
    return [properties[key]]


def _get_all(tree: ObjectTree, path: str, arguments: list[Any]) -> list[Any]:
    return [tree.interface(path, arguments[0]).properties]


def _managed_objects(tree: ObjectTree, path: str, _: list[Any]) -> list[Any]:
    if path != "/":
        raise ReplyError("org.freedesktop.DBus.Error.UnknownMethod", "ask at the path /")
    return [tree.managed_objects()]


def _introspect(tree: ObjectTree, path: str, _: list[Any]) -> list[Any]:
    return [describe(tree.interfaces(path), tree.children(path), is_root=path == "/")]


_Answer = Callable[[ObjectTree, str, list[Any]], list[Any]]
_STANDARD: Final[dict[tuple[str, str], tuple[str, str, _Answer]]] = {
    (PROPERTIES, "Get"): ("ss", "v", _get_property),
    (PROPERTIES, "GetAll"): ("s", "a{sv}", _get_all),
    (OBJECT_MANAGER, "GetManagedObjects"): ("", "a{oa{sa{sv}}}", _managed_objects),
    (INTROSPECTABLE, "Introspect"): ("", "s", _introspect),
}
