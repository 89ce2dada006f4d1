"""Adapters that are silent, missing, without power or late; a bus or bluetoothd that goes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.ble_visits import WatchedCuff, visiting
from support.waiting import wait_until
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.base import LinkState
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.bluez.errors import in_progress
from wardlight_lab.bluez.private_bus import PrivateBus

pytestmark = pytest.mark.dbus

NO_BUS = "no system D-Bus: apt install dbus bluez, or start dbus"


async def test_a_silent_scan_is_started_anew_then_the_adapter_is_switched(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    adapter = bluez.adapter()
    adapter.faults.silent = True
    settings = BleSettings(silent_scan_s=0.2)
    async with visiting(tmp_path, cuff.identity_text, settings=settings) as visit:
        cuff.record()
        await wait_until(lambda: visit.stack.radio("hci0").state.power_cycles >= 1)
        state = visit.stack.radio("hci0").state
        assert state.scan_restarts >= 1
        await wait_until(lambda: visit.radios["hci0"].power_cycles >= 1, what="it is reported")
        assert visit.receiver.last().state is LinkState.WAITING
        adapter.faults.silent = False
        await wait_until(lambda: len(visit.receiver.values()) == 1)
    assert adapter.is_powered


async def test_an_adapter_with_a_link_is_not_switched(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    settings = BleSettings(silent_scan_s=0.1)
    cuff.habit.linger = 60
    async with visiting(tmp_path, cuff.identity_text, settings=settings) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        bluez.adapter().faults.silent = True
        before = visit.stack.radio("hci0").state
        await wait_until(
            lambda: visit.stack.radio("hci0").state.scan_restarts > before.scan_restarts + 4
        )
        assert visit.stack.radio("hci0").state.power_cycles == before.power_cycles
        assert cuff.link is not None


async def test_without_a_system_bus_the_device_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")
    async with visiting(tmp_path, "ble:D00000000001") as visit:
        await wait_until(lambda: visit.receiver.last().state is LinkState.ABSENT)
        assert visit.receiver.last().reason == NO_BUS


async def test_without_bluetoothd_the_device_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: Callable[[str], Path]
) -> None:
    peer("dbus-daemon")
    async with PrivateBus() as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        async with visiting(tmp_path, "ble:D00000000001") as visit:
            await wait_until(lambda: visit.receiver.last().state is LinkState.ABSENT)
            assert (
                visit.receiver.last().reason
                == "bluetoothd is not running: systemctl start bluetooth"
            )


async def test_a_missing_adapter_is_named_and_found_when_plugged_in(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    cuff = WatchedCuff()
    bluez.add(cuff)
    settings = BleSettings(adapters=("hci7",))
    async with visiting(tmp_path, cuff.identity_text, settings=settings, retry_s=60) as visit:
        await wait_until(lambda: visit.receiver.last().state is LinkState.ABSENT)
        assert visit.receiver.last().reason == "adapter hci7 not found"
        bluez.plug_in("hci7")
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        await bluez.unplug("hci7")
        await wait_until(lambda: visit.receiver.last().state is LinkState.ABSENT)
        bluez.plug_in("hci7")
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 2)


async def test_one_adapter_serves_when_the_other_is_missing(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    await bluez.unplug("hci1")
    settings = BleSettings(adapters=("hci1", "hci0"))
    async with visiting(tmp_path, cuff.identity_text, settings=settings) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        assert visit.stack.radio("hci1").reason == "adapter hci1 not found"


async def test_an_adapter_without_power_is_switched_on(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    await bluez.adapter().set_powered(False)
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        await bluez.adapter().set_powered(False)
        await wait_until(lambda: bluez.adapter().is_powered)
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 2)


async def test_a_busy_start_of_the_scan_is_tried_again(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    bluez.adapter().faults.start_discovery.extend([in_progress(), in_progress()])
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)


async def test_a_restarted_bluetoothd_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: Callable[[str], Path]
) -> None:
    """Bus and bluetoothd go and come back: agent, scan and bond are there again."""
    peer("dbus-daemon")
    state, bus = tmp_path / "state", tmp_path / "bus"
    first = FakeBluez(state_dir=state, bus_dir=bus)
    async with first:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", first.address)
        cuff = WatchedCuff()
        first.add(cuff)
        context = visiting(tmp_path, cuff.identity_text)
        visit = await context.__aenter__()
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
    try:
        await wait_until(lambda: visit.receiver.last().state is LinkState.ABSENT)
        async with FakeBluez(state_dir=state, bus_dir=bus) as second:
            second.add(cuff)
            cuff.record()
            await wait_until(lambda: len(visit.receiver.values()) == 2)
            await context.__aexit__(None, None, None)
    except BaseException:
        await context.__aexit__(None, None, None)
        raise
