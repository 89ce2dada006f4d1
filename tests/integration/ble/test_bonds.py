"""Bonds made, kept, lost, repaired and refused."""

import asyncio
from pathlib import Path

import pytest
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from support.ble_visits import CUFF, WatchedCuff, changed, visiting
from support.operators import AnsweringOperator
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.base import LinkState, ReadsDone
from wardlight_lab.bluez import FakeBluez, Pairing
from wardlight_lab.devices.emulated import Equipment

pytestmark = pytest.mark.dbus


async def _bonded(cuff: WatchedCuff, folder: Path) -> None:
    """Bond the cuff with a gateway of this folder, then leave."""
    async with visiting(folder, cuff.identity_text) as visit:
        cuff.habit.linger = 2  # long enough for all that is read
        cuff.record()
        await wait_until(lambda: visit.receiver.of(ReadsDone))
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
    cuff.habit.linger = 0.05


async def test_a_device_that_wants_a_bond_the_profile_does_not_ask_for_is_left_alone(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    """bluetoothd would pair by itself; our agent refuses, and nothing hammers the device."""
    profile = changed(CUFF, bond=False)
    async with visiting(tmp_path, cuff.identity_text, profile, repair_s=60) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.NOT_PAIRED)
        links = cuff.done.count("connected")
        radio = visit.stack.radio("hci0")
        heard_ms = radio.state.last_advertisement_mono_ms or 0
        await wait_until(
            lambda: (radio.state.last_advertisement_mono_ms or 0) >= heard_ms + 500,
            what="some ten advertisements pass",
        )
        assert cuff.done.count("connected") == links == 1
        assert "bond" in (visit.receiver.last().reason or "")
    assert len(cuff.pending) == 1
    device = bluez.device(cuff.address)
    assert device is not None
    assert not visit.receiver.values()


async def test_a_refused_pairing_is_shown_and_tried_again_later(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.faults.refuse_pairing = True
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.NOT_PAIRED)
        assert "pairing mode" in (visit.receiver.last().reason or "")
        assert visit.bonds.adapter_of(cuff.address) is None


async def test_a_device_that_lost_its_key_is_shown_not_paired_anew_and_repaired(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    await _bonded(cuff, tmp_path)
    bluez.reset(cuff)
    async with visiting(tmp_path, cuff.identity_text, repair_s=60) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.BOND_LOST)
        assert visit.bonds.adapter_of(cuff.address) == "hci0", "it stays what an operator sees"
        assert not visit.receiver.values()

        watch, since_ms = visit.stack.watch(cuff.address), SystemClock().mono_ms()
        await wait_until(
            lambda: watch.best(["hci0"], since_ms), what="it is heard with the old key"
        )
        visits = visit.receiver.states().count(LinkState.CONNECTING)
        await visit.transport.repair()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        assert visit.receiver.states().count(LinkState.CONNECTING) == visits + 1
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
        assert visit.bonds.adapter_of(cuff.address) == "hci0"
    assert not cuff.pending


async def test_a_key_that_bluez_says_was_refused_needs_no_second_try(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    """BlueZ 5.82 and later: Device1.Disconnected names the reason."""
    await _bonded(cuff, tmp_path)
    bluez.reset(cuff)
    async with visiting(tmp_path, cuff.identity_text, repair_s=60) as visit:
        await wait_until(lambda: visit.stack.radio("hci0").state.is_scanning)
        path = f"/org/bluez/hci0/dev_{cuff.address.replace(':', '_')}"
        body = ["org.bluez.Reason.Authentication", "Connection terminated"]
        signal = Message.new_signal(path, "org.bluez.Device1", "Disconnected", "ss", body)
        assert bluez._service is not None
        bluez._service.send(signal)
        await wait_until(lambda: visit.stack.watch(cuff.address).is_key_refused)
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.BOND_LOST)
        assert visit.receiver.states().count(LinkState.CONNECTING) == 1


async def test_a_bond_that_this_machine_has_lost_is_not_made_anew_silently(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    await _bonded(cuff, tmp_path)
    device = bluez.device(cuff.address)
    assert device is not None
    await bluez.remove(cuff)
    await device.forget()
    bluez.add(cuff)
    async with visiting(tmp_path, cuff.identity_text, repair_s=60) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.BOND_LOST)
        await visit.transport.repair()
        await wait_until(lambda: len(visit.receiver.values()) == 1)


async def test_a_bond_holds_its_adapter(bluez: FakeBluez, tmp_path: Path) -> None:
    """The stronger adapter is chosen first; from then on the one with the key."""
    cuff = WatchedCuff()
    cuff.rssi = {"hci0": -90, "hci1": -40}
    bluez.add(cuff)
    async with visiting(tmp_path, cuff.identity_text, settings=_both()) as visit:
        heard = visit.stack.watch(cuff.address)
        cuff.start_advertising()
        await wait_until(lambda: heard.best(["hci0"], 0) and heard.best(["hci1"], 0))
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
        chosen = visit.bonds.adapter_of(cuff.address)
        other = {"hci0": "hci1", "hci1": "hci0"}[chosen or "hci1"]
        cuff.rssi = {chosen or "hci1": -95, other: -35}
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 2)
        assert visit.bonds.adapter_of(cuff.address) == chosen
    assert bluez.device(cuff.address, other) is not None, "it was heard there too"


async def test_a_bond_with_an_adapter_that_is_not_ours_is_explained(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    async with visiting(tmp_path, cuff.identity_text) as visit:
        visit.bonds.remember(cuff.address, "hci5")
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.ABSENT)
        assert "hci5" in (visit.receiver.last().reason or "")


async def test_a_passkey_comes_from_the_operator(bluez: FakeBluez, tmp_path: Path) -> None:
    cuff = WatchedCuff(Equipment(pairing=Pairing.PASSKEY_ENTRY, passkey=123456))
    bluez.add(cuff)
    operator = AnsweringOperator(cuff.address, 123456)
    async with visiting(tmp_path, cuff.identity_text, operator=operator) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
    assert operator.asked == [cuff.address]
    assert operator.news[:2] == ["found", "paired"]


async def test_a_stranger_is_refused(bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path) -> None:
    """A pairing nobody announced: the agent says no."""
    stranger = WatchedCuff()
    stranger.address = "D0:00:00:00:00:01"
    bluez.add(stranger)
    async with visiting(tmp_path, cuff.identity_text) as visit:
        await wait_until(lambda: visit.stack.radio("hci0").state.is_scanning)
        stranger.start_advertising()
        await wait_until(lambda: bluez.device(stranger.address))
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        try:
            path = f"/org/bluez/hci0/dev_{stranger.address.replace(':', '_')}"
            message = Message("org.bluez", path, "org.bluez.Device1", "Pair")
            reply = await asyncio.wait_for(bus.call(message), 180)
        finally:
            bus.disconnect()
    assert reply.message_type is MessageType.ERROR
    assert reply.error_name == "org.bluez.Error.AuthenticationRejected"


def _both() -> BleSettings:
    return BleSettings(adapters=("hci0", "hci1"), connect_timeout_s=5.0)
