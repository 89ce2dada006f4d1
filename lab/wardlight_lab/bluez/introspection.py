"""Introspection data of an exported object, so that D-Bus proxies and `busctl` can look at the
fake.

Source  D-Bus specification, Introspection Data Format
"""

from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import quoteattr

from dbus_fast.signature import get_signature_tree

from wardlight_lab.bluez.object_tree import Interface, Method

HEADER: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN" '
    '"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">'
)
OBJECT_MANAGER_XML: Final = (
    '<interface name="org.freedesktop.DBus.ObjectManager"><method name="GetManagedObjects">'
    '<arg type="a{oa{sa{sv}}}" direction="out"/></method></interface>'
)
PROPERTIES_XML: Final = (
    '<interface name="org.freedesktop.DBus.Properties">'
    '<method name="Get"><arg type="s" direction="in"/><arg type="s" direction="in"/>'
    '<arg type="v" direction="out"/></method>'
    '<method name="GetAll"><arg type="s" direction="in"/>'
    '<arg type="a{sv}" direction="out"/></method>'
    '<method name="Set"><arg type="s" direction="in"/><arg type="s" direction="in"/>'
    '<arg type="v" direction="in"/></method></interface>'
)


def describe(interfaces: Iterable[Interface], children: Iterable[str], *, is_root: bool) -> str:
    """The XML that Introspect answers with."""
    parts = [HEADER, "<node>"]
    if is_root:
        parts.append(OBJECT_MANAGER_XML)
    exported = [_interface(each) for each in interfaces]
    parts += [PROPERTIES_XML, *exported] if exported else []
    parts += [f"<node name={quoteattr(name)}/>" for name in children]
    return "".join([*parts, "</node>"])


def _interface(interface: Interface) -> str:
    methods = "".join(_method(name, method) for name, method in interface.methods.items())
    properties = "".join(
        f"<property name={quoteattr(name)} type={quoteattr(value.signature)}"
        f' access="{"readwrite" if name in interface.setters else "read"}"/>'
        for name, value in interface.properties.items()
    )
    return f"<interface name={quoteattr(interface.name)}>{methods}{properties}</interface>"


def _method(name: str, method: Method) -> str:
    arguments = _arguments(method.takes, "in") + _arguments(method.gives, "out")
    return f"<method name={quoteattr(name)}>{arguments}</method>"


def _arguments(signature: str, direction: str) -> str:
    types = get_signature_tree(signature).types
    return "".join(
        f'<arg type={quoteattr(each.signature)} direction="{direction}"/>' for each in types
    )
