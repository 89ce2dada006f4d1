"""The emulator as the demo starts it: a child process that is told what to do over its own bus."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bleak import BleakClient
from bleak.backends.device import BLEDevice

from support.waiting import wait_until
from wardlight_lab.bluez import uuid16
from wardlight_lab.devices import read_ledger
from wardlight_lab.devices.control import ControlError, command

pytestmark = pytest.mark.dbus

READY_TIMEOUT_S = 240.0
MEASUREMENT = uuid16(0x2A35)
SCENARIO = """
timing = "instant"
[[device]]
kind = "blood_pressure_cuff"
patient = "ward-1"
linger_s = 0.05
[[device]]
kind = "pulse_oximeter"
patient = "ward-1"
"""

Find = Callable[..., Awaitable[BLEDevice]]
AgentAtBus = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def emulator(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """Start the process and wait for its ready line; whatever is left of it is killed."""
    scenario = folder / "ward.toml"
    scenario.write_text(SCENARIO)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wardlight_lab.bluez", "--scenario", str(scenario)),
        *("--state-dir", str(folder / "state"), "--bus-dir", str(folder / "b")),
        *("--ledger", str(folder / "ledger.jsonl"), "--ready-file", str(folder / "ready.json")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_TIMEOUT_S)
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def receive_one(find: Find, bus: str, device: str) -> list[str]:
    """Let the cuff measure, and take what it sends until it hangs up."""
    await command(bus, device, "measure")
    received: list[str] = []
    ended = asyncio.Event()
    async with BleakClient(await find(device), lambda _: ended.set()) as client:
        await client.start_notify(MEASUREMENT, lambda _, value: received.append(value.hex()))
        await asyncio.wait_for(ended.wait(), 180)
    return received


async def test_a_second_start_goes_on_bonded_at_the_same_address(
    peer: Callable[[str], Path],
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    find: Find,
    agent_at_bus: AgentAtBus,
) -> None:
    peer("dbus-daemon")
    async with emulator(short_folder) as (process, ready):
        assert json.loads((short_folder / "ready.json").read_text()) == ready
        assert ready["pid"] == process.pid
        assert [each["kind"] for each in ready["devices"]] == [
            "blood_pressure_cuff",
            "pulse_oximeter",
        ]
        bus, cuff = ready["address"], ready["devices"][0]["address"]
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
        async with agent_at_bus():
            first = await receive_one(find, bus, cuff)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 180) == 0
    assert not (short_folder / "b" / "bus").exists()
    async with emulator(short_folder) as (_, ready):
        assert ready["address"] == bus
        second = await receive_one(find, bus, cuff)  # without an agent: the bond is enough
    entries = read_ledger(short_folder / "ledger.jsonl")
    assert [each.payload for each in entries] == first + second


async def test_a_killed_emulator_leaves_no_daemon_and_can_start_again(
    peer: Callable[[str], Path], short_folder: Path
) -> None:
    peer("dbus-daemon")
    async with emulator(short_folder) as (process, _):
        daemon = int((short_folder / "b" / "pid").read_text())
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        await wait_until(lambda: not Path(f"/proc/{daemon}").exists())
    async with emulator(short_folder) as (_, ready):
        assert ready["address"].endswith("/b/bus")


async def test_devices_are_scripted_from_outside(
    peer: Callable[[str], Path],
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    find: Find,
    agent_at_bus: AgentAtBus,
) -> None:
    peer("dbus-daemon")
    async with emulator(short_folder) as (_, ready):
        bus = ready["address"]
        cuff, oximeter = (each["address"] for each in ready["devices"])
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
        async with agent_at_bus():
            await command(bus, cuff, "measure")
            await command(bus, cuff, "faults", drop_after=[1], lose_first=0)
            assert len(await receive_one(find, bus, cuff)) == 1
            assert await command(bus, cuff, "pending") == 1
            assert len(await receive_one(find, bus, cuff)) == 2
        await command(bus, oximeter, "battery", value=12)
        await command(bus, oximeter, "finger_out", value=True)
        async with BleakClient(await find(oximeter)) as client:
            assert bytes(await client.read_gatt_char(uuid16(0x2A19))) == b"\x0c"
            assert await command(bus, oximeter, "drop_link") is True
            await wait_until(lambda: not client.is_connected)
        assert await command(bus, oximeter, "hang_up") is False
        await command(bus, oximeter, "adapter_faults", adapter="hci0", silent=True)
        await command(bus, oximeter, "in_range", value=False)
        await command(bus, cuff, "forget_bonds")
        for action, arguments in (
            ("explode", {}),
            ("finger_out", {"value": True}),
            ("faults", {"connect_error": "x"}),
            ("faults", {"unknown": 1}),
        ):
            with pytest.raises(ControlError):
                await command(bus, cuff, action, **arguments)
        with pytest.raises(ControlError, match="stores no records"):
            await command(bus, oximeter, "measure")


@pytest.mark.parametrize(
    ("arguments", "path", "status", "complaint"),
    [
        (["--scenario", "nowhere.toml"], None, 2, "nowhere.toml"),
        ([], "/nonexistent", 3, "apt install dbus"),
    ],
)
async def test_what_is_missing_is_named(
    arguments: list[str], path: str | None, status: int, complaint: str
) -> None:
    environment = dict(os.environ) | ({} if path is None else {"PATH": path})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wardlight_lab.bluez", *arguments),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), READY_TIMEOUT_S)
    assert process.returncode == status
    assert complaint in errors.decode()
