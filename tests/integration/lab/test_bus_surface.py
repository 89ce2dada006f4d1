"""The fake as any D-Bus client sees it, and the daemon under it."""

import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import DBusError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from support.waiting import wait_until
from wardlight_lab.bluez import BusStartError, FakeBluez, Pairing
from wardlight_lab.bluez.private_bus import PrivateBus
from wardlight_lab.devices import Equipment, PatientVitals, PulseOximeter

pytestmark = pytest.mark.dbus

ADAPTER = "/org/bluez/hci0"
PROPERTIES = "org.freedesktop.DBus.Properties"


@pytest.fixture
async def client(bluez: FakeBluez) -> AsyncIterator[MessageBus]:
    bus = await MessageBus(bus_address=bluez.address).connect()
    yield bus
    bus.disconnect()
    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def ask(
    bus: MessageBus, path: str, interface: str, member: str, signature: str = "", *body: Any
) -> Message:
    message = Message(
        destination="org.bluez",
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
    )
    return await bus.call(message)


async def test_introspection_is_enough_for_a_proxy(bluez: FakeBluez, client: MessageBus) -> None:
    node = await client.introspect("org.bluez", ADAPTER)
    adapter: Any = client.get_proxy_object("org.bluez", ADAPTER, node).get_interface(
        "org.bluez.Adapter1"
    )
    assert await adapter.get_powered() is True
    await adapter.set_powered(False)
    assert bluez.adapter().is_powered is False
    with pytest.raises(DBusError, match="Not Ready"):
        await adapter.call_start_discovery()
    root = await client.introspect("org.bluez", "/")
    assert [child.name for child in root.nodes] == ["org"]
    objects: Any = client.get_proxy_object("org.bluez", "/", root).get_interface(
        "org.freedesktop.DBus.ObjectManager"
    )
    assert set(await objects.call_get_managed_objects()) == {
        "/org/bluez",
        "/org/bluez/hci0",
        "/org/bluez/hci1",
    }


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body", "error"),
    [
        ("/nowhere", "org.bluez.Adapter1", "StartDiscovery", "", (), "UnknownObject"),
        (ADAPTER, "org.bluez.Adapter1", "Explode", "", (), "UnknownMethod"),
        (ADAPTER, "org.bluez.Adapter1", "RemoveDevice", "s", ("x",), "InvalidArguments"),
        (ADAPTER, "org.bluez.Adapter1", "RemoveDevice", "o", ("/x",), "DoesNotExist"),
        (ADAPTER, "org.bluez.Adapter1", "StopDiscovery", "", (), "Failed"),
        (ADAPTER, PROPERTIES, "Get", "ss", ("org.bluez.Adapter1", "Colour"), "InvalidArgs"),
        (ADAPTER, PROPERTIES, "GetAll", "s", ("org.bluez.Toaster1",), "InvalidArgs"),
        (
            ADAPTER,
            PROPERTIES,
            "Set",
            "ssv",
            ("org.bluez.Adapter1", "Address", Variant("s", "x")),
            "PropertyReadOnly",
        ),
        (
            ADAPTER,
            "org.freedesktop.DBus.ObjectManager",
            "GetManagedObjects",
            "",
            (),
            "UnknownMethod",
        ),
        (
            "/org/bluez",
            "org.bluez.AgentManager1",
            "RegisterAgent",
            "os",
            ("/a", "Telepathy"),
            "InvalidArguments",
        ),
        (
            "/org/bluez",
            "org.bluez.AgentManager1",
            "UnregisterAgent",
            "o",
            ("/a",),
            "DoesNotExist",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    client: MessageBus,
    path: str,
    interface: str,
    member: str,
    signature: str,
    body: tuple[Any, ...],
    error: str,
) -> None:
    reply = await ask(client, path, interface, member, signature, *body)
    assert reply.message_type is MessageType.ERROR
    assert (reply.error_name or "").endswith(f".{error}")


async def test_an_agent_registers_once(client: MessageBus) -> None:
    manager = ("/org/bluez", "org.bluez.AgentManager1")
    registered = await ask(client, *manager, "RegisterAgent", "os", "/a", "")
    assert registered.message_type is MessageType.METHOD_RETURN
    again = await ask(client, *manager, "RegisterAgent", "os", "/b", "")
    assert again.error_name == "org.bluez.Error.AlreadyExists"
    await ask(client, *manager, "RequestDefaultAgent", "o", "/a")
    gone = await ask(client, *manager, "UnregisterAgent", "o", "/a")
    assert gone.message_type is MessageType.METHOD_RETURN


async def test_properties_of_a_device_are_read_and_set(
    bluez: FakeBluez, client: MessageBus
) -> None:
    device = PulseOximeter("p", PatientVitals("p"))
    bluez.add(device)
    device.start_advertising()
    await ask(client, ADAPTER, "org.bluez.Adapter1", "StartDiscovery")
    path = f"{ADAPTER}/dev_{device.address.replace(':', '_')}"
    while (await ask(client, path, PROPERTIES, "GetAll", "s", "org.bluez.Device1")).error_name:
        pass
    for name in ("Trusted", "Blocked"):
        value = Variant("b", True)
        await ask(client, path, PROPERTIES, "Set", "ssv", "org.bluez.Device1", name, value)
        got = await ask(client, path, PROPERTIES, "Get", "ss", "org.bluez.Device1", name)
        assert got.body == [Variant("b", True)]
    none = await ask(client, path, "org.bluez.Device1", "CancelPairing")
    assert none.error_name == "org.bluez.Error.DoesNotExist"


async def test_a_notify_session_outlives_the_link_as_long_as_its_client(
    bluez: FakeBluez, client: MessageBus
) -> None:
    """The quirk for which bleak opens a bus connection of its own for each link."""
    device = PulseOximeter(
        "p", PatientVitals("p"), equipment=Equipment(pairing=Pairing.NONE), speed=50
    )
    bluez.add(device)
    await ask(client, ADAPTER, "org.bluez.Adapter1", "StartDiscovery")
    await wait_until(lambda: bluez.device(device.address) is not None)
    shown = bluez.device(device.address)
    assert shown is not None
    await ask(client, shown.path, "org.bluez.Device1", "Connect")
    await wait_until(lambda: device.measurement in _characteristics(bluez))
    path = _characteristics(bluez)[device.measurement]
    characteristic = (path, "org.bluez.GattCharacteristic1")
    for _ in range(2):  # a second call of the same client changes nothing
        assert (await ask(client, *characteristic, "StartNotify")).error_name is None
    await wait_until(lambda: len(device.ledger) > 2)
    assert device.link is not None
    await device.link.hang_up()
    assert (await ask(client, *characteristic, "StopNotify")).error_name is None
    again = await ask(client, *characteristic, "StopNotify")
    assert again.error_name == "org.bluez.Error.Failed"
    assert (await ask(client, *characteristic, "StartNotify")).error_name is None
    sent = len(device.ledger)
    await ask(client, shown.path, "org.bluez.Device1", "Connect")
    await wait_until(lambda: len(device.ledger) > sent + 2)
    assert all(entry.delivered for entry in device.ledger)
    not_offered = await ask(client, *characteristic, "AcquireNotify", "a{sv}", {})
    assert not_offered.error_name == "org.freedesktop.DBus.Error.UnknownMethod"


def _characteristics(bluez: FakeBluez) -> dict[str, str]:
    """The exported characteristics: UUID to object path."""
    return {
        interfaces["org.bluez.GattCharacteristic1"]["UUID"].value: path
        for path, interfaces in bluez.managed_objects().items()
        if "org.bluez.GattCharacteristic1" in interfaces
    }


async def test_the_bus_is_private_and_gone_afterwards(
    peer: Callable[[str], Path], short_folder: Path
) -> None:
    peer("dbus-daemon")
    folder = short_folder / "with space"
    async with PrivateBus(folder) as bus:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert "%20" in bus.address
        client = await MessageBus(bus_address=bus.address).connect()
        client.disconnect()
        await client.wait_for_disconnect()  # type: ignore[no-untyped-call]
        pid = bus.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_path_too_long_for_a_socket_is_named(
    peer: Callable[[str], Path], tmp_path: Path
) -> None:
    peer("dbus-daemon")
    with pytest.raises(BusStartError, match="shorter folder"):
        async with PrivateBus(tmp_path / ("long" * 30)):
            pass


async def test_a_daemon_left_in_the_folder_is_ended_first(
    peer: Callable[[str], Path], short_folder: Path
) -> None:
    peer("dbus-daemon")
    async with PrivateBus(short_folder) as left_over, PrivateBus(short_folder) as bus:
        assert bus.pid != left_over.pid
        client = await MessageBus(bus_address=bus.address).connect()
        client.disconnect()
        await client.wait_for_disconnect()  # type: ignore[no-untyped-call]
