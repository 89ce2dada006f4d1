"""The exported objects: what each path offers, and the signals that tell of changes.

One ObjectTree is the whole of what `org.bluez` shows. Values are D-Bus variants as they go on the
wire.

Source  D-Bus specification, Standard Interfaces (ObjectManager, Properties)
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dbus_fast import Message, Variant

from wardlight_lab.bluez.errors import ReplyError, unknown_object

OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"

Properties = dict[str, Variant]


@dataclass(frozen=True, slots=True)
class Call:
    """One method call: who asks (a unique bus name) and with which arguments."""

    sender: str
    arguments: list[Any]


@dataclass(frozen=True, slots=True)
class Method:
    """A method and its signatures; the handler gives the reply's body or raises ReplyError."""

    handler: Callable[[Call], Awaitable[list[Any]]]
    takes: str = ""
    gives: str = ""


@dataclass(slots=True)
class Interface:
    """One interface of one object. Properties without a setter are read-only."""

    name: str
    properties: Properties = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    setters: Mapping[str, Callable[[Any], Awaitable[None]]] = field(default_factory=dict)


class ObjectTree:
    """Paths and their interfaces; each change is emitted through `send` at once and in order."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._objects: dict[str, dict[str, Interface]] = {}

    def export(self, path: str, *interfaces: Interface) -> None:
        """Add interfaces to a path (InterfacesAdded)."""
        self._objects.setdefault(path, {}).update({each.name: each for each in interfaces})
        added = {each.name: each.properties for each in interfaces}
        self._signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, added])

    def withdraw(self, path: str, names: Iterable[str] | None = None) -> None:
        """Remove the named interfaces, or all, from a path (InterfacesRemoved)."""
        held = self._objects.get(path, {})
        gone = [name for name in (list(held) if names is None else names) if name in held]
        for name in gone:
            del held[name]
        if not held:
            self._objects.pop(path, None)
        if gone:
            self._signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, gone])

    def withdraw_below(self, prefix: str) -> None:
        """Remove every object whose path begins with `prefix`, children before parents."""
        for path in sorted((p for p in self._objects if p.startswith(prefix)), reverse=True):
            self.withdraw(path)

    def change(
        self, path: str, name: str, changed: Properties, invalidated: Iterable[str] = ()
    ) -> None:
        """Set and remove properties (PropertiesChanged); unknown objects are ignored."""
        interface = self._objects.get(path, {}).get(name)
        if interface is None:
            return
        interface.properties.update(changed)
        gone = [key for key in invalidated if interface.properties.pop(key, None) is not None]
        if changed or gone:
            body = [name, changed, gone]
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def method(self, path: str, interface: str | None, member: str) -> Method:
        """The method a call names; the interface may be left out. Errors: ReplyError."""
        held = self._held(path)
        candidates = held.values() if interface is None else [held.get(interface)]
        for each in candidates:
            if each is not None and member in each.methods:
                return each.methods[member]
        raise ReplyError(
            "org.freedesktop.DBus.Error.UnknownMethod", f"{interface}.{member} is not offered"
        )

    def interface(self, path: str, name: str) -> Interface:
        """One interface of one object. Errors: ReplyError."""
        held = self._held(path)
        if name not in held:
            raise ReplyError("org.freedesktop.DBus.Error.InvalidArgs", f"no interface {name}")
        return held[name]

    def interfaces(self, path: str) -> list[Interface]:
        """All interfaces of an object; none for an unknown path."""
        return list(self._objects.get(path, {}).values())

    def children(self, path: str) -> list[str]:
        """The next path elements below `path`, for introspection."""
        base = path.rstrip("/") + "/"
        below = {p[len(base) :].split("/")[0] for p in self._objects if p.startswith(base)}
        return sorted(below)

    def managed_objects(self) -> dict[str, dict[str, Properties]]:
        """The reply to GetManagedObjects."""
        return {
            path: {each.name: each.properties for each in held.values()}
            for path, held in self._objects.items()
        }

    def _held(self, path: str) -> dict[str, Interface]:
        if path not in self._objects:
            raise unknown_object(path)
        return self._objects[path]

    def _signal(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None:
        self._send(Message.new_signal(path, interface, member, signature, body))
