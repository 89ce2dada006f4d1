"""Pairing through a real agent on the bus, and bonds that outlive a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDBusError, BleakError

from support.waiting import wait_until
from wardlight_lab.bluez import FakeBluez, Operation, Pairing, Timing, uuid16
from wardlight_lab.devices import Equipment, PatientVitals, PulseOximeter

pytestmark = pytest.mark.dbus

MEASUREMENT = uuid16(0x2A5F)

Find = Callable[..., Awaitable[BLEDevice]]
RegisterAgent = Callable[..., Awaitable[Any]]
AgentAtBus = Callable[..., AbstractAsyncContextManager[Any]]


def oximeter(pairing: Pairing = Pairing.JUST_WORKS, passkey: int = 0) -> PulseOximeter:
    equipment = Equipment(pairing=pairing, passkey=passkey)
    return PulseOximeter("p", PatientVitals("p"), equipment=equipment)


async def subscribe(client: BleakClient) -> None:
    await client.start_notify(MEASUREMENT, lambda _, __: None)


async def test_without_an_agent_an_encrypted_value_is_not_permitted(
    bluez: FakeBluez, find: Find
) -> None:
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address)) as client:
        with pytest.raises(BleakDBusError, match="Not paired") as refused:
            await subscribe(client)
        assert refused.value.dbus_error == "org.bluez.Error.NotPermitted"
        assert client.is_connected


async def test_with_an_agent_an_encrypted_value_pairs_by_itself(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    agent = await register_agent()
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address)) as client:
        await subscribe(client)
        assert device.link is not None
        assert device.link.is_encrypted
    assert agent.asked == [("RequestAuthorization", [f"/org/bluez/hci0/dev_{_path(device)}"])]
    async with BleakClient(await find(device.address)) as client:
        await subscribe(client)
    assert len(agent.asked) == 1  # the bond is used


async def test_pairing_on_connect(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    await register_agent()
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address), pair=True) as client:
        await subscribe(client)
    again = await find(device.address)
    assert again.details["props"]["Bonded"] is True


async def test_pairing_without_an_agent_fails_and_ends_the_link(
    bluez: FakeBluez, find: Find
) -> None:
    device = oximeter()
    bluez.add(device)
    with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
        await BleakClient(await find(device.address), pair=True).connect()
    assert device.link is None


@pytest.mark.parametrize(
    ("pairing", "capability", "answer", "outcome"),
    [
        (Pairing.PASSKEY_ENTRY, "KeyboardOnly", 123456, None),
        (Pairing.PASSKEY_ENTRY, "KeyboardOnly", 654321, "AuthenticationFailed"),
        (Pairing.PASSKEY_ENTRY, "NoInputNoOutput", 123456, "AuthenticationFailed"),
        (Pairing.NUMERIC_COMPARISON, "DisplayYesNo", None, None),
        (Pairing.NUMERIC_COMPARISON, "KeyboardOnly", None, "AuthenticationFailed"),
        (Pairing.JUST_WORKS, "", "org.bluez.Error.Rejected", "AuthenticationRejected"),
        (Pairing.JUST_WORKS, "", "org.bluez.Error.Canceled", "AuthenticationCanceled"),
        (Pairing.NONE, "KeyboardDisplay", None, "AuthenticationFailed"),
    ],
)
async def test_ways_to_pair(
    bluez: FakeBluez,
    find: Find,
    register_agent: RegisterAgent,
    pairing: Pairing,
    capability: str,
    answer: int | str | None,
    outcome: str | None,
) -> None:
    agent = await register_agent(capability, answer)
    device = oximeter(pairing, passkey=123456)
    bluez.add(device)
    client = BleakClient(await find(device.address))
    await client.connect()
    try:
        if outcome is None:
            await client.pair()
            assert client.is_connected
        else:
            with pytest.raises(BleakDBusError, match=outcome):
                await client.pair()
    finally:
        await client.disconnect()
    if pairing is Pairing.NUMERIC_COMPARISON and outcome is None:
        assert agent.asked[0][1][1] == 123456


async def test_an_agent_that_does_not_answer_is_told_to_stop(
    peer: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    find: Find,
    agent_at_bus: AgentAtBus,
) -> None:
    peer("dbus-daemon")
    async with FakeBluez(timing=Timing(agent_timeout=0.2)) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        device = oximeter()
        fake.add(device)
        async with agent_at_bus("", "silent") as agent:
            with pytest.raises(BleakDBusError, match="AuthenticationTimeout"):
                await BleakClient(await find(device.address), pair=True).connect()
            await wait_until(lambda: agent.questions == ["RequestAuthorization", "Cancel"])


async def test_a_device_can_refuse_to_pair(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    agent = await register_agent()
    device = oximeter()
    device.faults.refuse_pairing = True
    bluez.add(device)
    with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
        await BleakClient(await find(device.address), pair=True).connect()
    assert agent.asked == []


async def test_an_agent_leaves_with_its_client(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    agent = await register_agent()
    agent.bus.disconnect()
    await agent.bus.wait_for_disconnect()
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address)) as client:
        with pytest.raises(BleakDBusError, match="Not paired"):
            await subscribe(client)


async def test_a_bond_outlives_a_restart(
    peer: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    find: Find,
    agent_at_bus: AgentAtBus,
) -> None:
    peer("dbus-daemon")
    async with FakeBluez(state_dir=tmp_path) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        device = oximeter()
        fake.add(device)
        async with agent_at_bus(), BleakClient(await find(device.address)) as client:
            await subscribe(client)
    async with FakeBluez(state_dir=tmp_path) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        assert fake.device(device.address) is not None  # known before it advertises
        device = oximeter()
        fake.add(device)
        async with BleakClient(await find(device.address)) as client:
            await subscribe(client)  # no agent: the key is enough


async def test_a_lost_bond_is_repaired_by_removing_and_pairing_again(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    agent = await register_agent()
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address), pair=True):
        pass
    bluez.reset(device)
    client = BleakClient(await find(device.address))
    with pytest.raises(BleakError, match="disconnected"):
        await client.connect()
    await client.unpair()
    await wait_until(lambda: device.is_connectable)
    async with BleakClient(await find(device.address), pair=True) as client:
        await subscribe(client)
    assert agent.questions == ["RequestAuthorization"] * 2


async def test_removing_twice_says_that_it_is_gone(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    bluez.add(device)
    found = await find(device.address)
    device.in_range = False
    await BleakClient(found).unpair()
    with pytest.raises(BleakError, match="not found"):
        await BleakClient(found).unpair()


async def test_a_pairing_that_hangs_can_be_cancelled(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    await register_agent()
    device = oximeter()
    device.faults.hang.add(Operation.PAIR)
    bluez.add(device)
    client = BleakClient(await find(device.address))
    await client.connect()
    pairing = asyncio.create_task(client.pair())
    shown = bluez.device(device.address)
    assert shown is not None
    await wait_until(lambda: shown.is_pairing)
    assert device.link is not None
    await device.link.hang_up()
    with pytest.raises(BleakDBusError, match="AuthenticationCanceled"):
        await asyncio.wait_for(pairing, 180)
    await client.disconnect()


def _path(device: PulseOximeter) -> str:
    return device.address.replace(":", "_")
