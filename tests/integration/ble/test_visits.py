"""Scan, bond, measure, hang up, come back: real bleak against the fake BlueZ."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from support.ble_visits import CUFF, WatchedCuff, changed, open_descriptors, visiting
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings
from wardlight_edge.sessions.device_clock import DeviceClockKeeper
from wardlight_edge.transports import ble
from wardlight_edge.transports.base import LinkState, ReadsDone
from wardlight_edge.transports.ble import Heard, Scanner
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_lab.bluez import FakeBluez, Operation, ReplyError, uuid16
from wardlight_lab.bluez.errors import failed, in_progress
from wardlight_lab.devices.emulated import Equipment

pytestmark = pytest.mark.dbus
MEASUREMENT = uuid16(0x2A35)


async def test_scan_bond_measure_hang_up_and_come_back(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record(3)
        await wait_until(lambda: len(visit.receiver.values()) == 3)
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
        assert visit.bonds.adapter_of(cuff.address) == "hci0"
        device = bluez.device(cuff.address)
        assert device is not None

        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 4)
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
    assert visit.receiver.values() == cuff.sent()
    assert visit.receiver.states() == [
        LinkState.WAITING,
        LinkState.CONNECTING,
        LinkState.CONNECTED,
        LinkState.WAITING,
        LinkState.CONNECTING,
        LinkState.CONNECTED,
        LinkState.WAITING,
    ]


async def test_nothing_comes_between_connecting_and_subscribing(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    """A bonded cuff that sends as soon as the link is encrypted loses what came before."""
    del bluez
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.habit.linger = 2  # long enough for all that is read
        cuff.record()
        await wait_until(lambda: len(visit.receiver.of(ReadsDone)) == 1)
    assert cuff.done[:2] == ["connected", "subscribed 2a35"]


async def test_a_clock_is_read_before_it_is_set(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.clock.skew = timedelta(hours=-1)
    keeper = DeviceClockKeeper(SystemClock(), lambda: True)
    async with visiting(tmp_path, cuff.identity_text, setter=keeper) as visit:
        cuff.habit.linger = 2  # long enough for all that is read
        cuff.record()
        await wait_until(lambda: visit.receiver.of(ReadsDone))
    first = [each for each in cuff.done if "2a2b" in each]
    assert first[:2] == ["read 2a2b", "wrote 2a2b"]
    assert visit.receiver.reads()[0] == "0x2A2B"
    assert abs(cuff.clock.skew) < timedelta(seconds=3)


async def test_a_clock_that_cannot_be_set_costs_nothing_else(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.clock.skew = timedelta(hours=-1)
    cuff.faults.fail_gatt(uuid16(0x2A2B), Operation.WRITE, 0x80)
    keeper = DeviceClockKeeper(SystemClock(), lambda: True)
    async with visiting(tmp_path, cuff.identity_text, setter=keeper) as visit:
        cuff.habit.linger = 2  # long enough for all that is read
        cuff.record()
        await wait_until(lambda: visit.receiver.of(ReadsDone))
    assert cuff.clock.skew == timedelta(hours=-1)
    assert "0x2A19" in visit.receiver.reads()


async def test_a_vendor_clock_is_set_too(bluez: FakeBluez, tmp_path: Path) -> None:
    """A&D: Date Time 0x2A08 in the measurement service."""
    cuff = WatchedCuff(Equipment(is_clock_vendor_style=True))
    bluez.add(cuff)
    cuff.clock.skew = timedelta(days=-3)
    keeper = DeviceClockKeeper(SystemClock(), lambda: True)
    profile = changed(CUFF, set_clock="0x2A08", read_once=("0x2A24",))
    async with visiting(tmp_path, cuff.identity_text, profile, setter=keeper) as visit:
        cuff.habit.linger = 2  # long enough for all that is read
        cuff.record()
        await wait_until(lambda: visit.receiver.of(ReadsDone))
    assert visit.receiver.reads() == ["0x2A08", "0x2A24"]
    assert abs(cuff.clock.skew) < timedelta(seconds=3)


async def test_the_rest_of_a_broken_link_comes_on_the_next(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    """Lost after 2 of 5, the second unconfirmed: the cuff sends it again, nothing is missing."""
    del bluez
    cuff.faults.drop_after.append(2)
    cuff.faults.acknowledge_last = False
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record(5)
        await wait_until(lambda: len(cuff.sent()) == 5)
        await wait_until(lambda: not cuff.pending and visit.receiver.states()[-1] == "waiting")
    assert set(visit.receiver.values()) == set(cuff.sent())
    assert len(visit.receiver.values()) in {5, 6}, "the unconfirmed one may have come twice"


async def test_early_values_that_the_stack_swallows_are_not_invented(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    """bluetoothd confirms the first value, nobody gets it: the rest arrives, nothing breaks."""
    del bluez
    cuff.faults.lose_first = 1
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record(3)
        await wait_until(lambda: len(visit.receiver.values()) == 2)
    delivered = [bytes.fromhex(each.payload) for each in cuff.ledger if each.delivered]
    assert visit.receiver.values() == delivered


@pytest.mark.parametrize(
    "error",
    [failed("le-connection-abort-by-local"), failed("Software caused connection abort")],
    ids=str,
)
async def test_failed_connects_are_tried_again(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path, error: ReplyError
) -> None:
    del bluez
    cuff.faults.fail_connects = 3
    cuff.faults.connect_error = error
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
    assert cuff.faults.fail_connects == 0


async def test_a_gatt_error_at_subscribing_is_tried_again(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.faults.fail_gatt(MEASUREMENT, Operation.START_NOTIFY, 0x80)
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
    assert cuff.done.count("connected") >= 2


async def test_a_refused_read_costs_only_that_value(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.faults.fail_gatt(uuid16(0x2A24), Operation.READ, 0x80)
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.habit.linger = 2  # long enough for all that is read
        cuff.record()
        await wait_until(lambda: visit.receiver.of(ReadsDone))
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
    assert visit.receiver.reads() == ["0x2A2B", "0x2A29", "0x2A25", "0x2A19"]
    assert cuff.done.count("connected") == 1


async def test_a_device_that_lacks_what_its_profile_measures_says_so(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    profile = changed(CUFF, indicate=("0x2A1C",))
    async with visiting(tmp_path, cuff.identity_text, profile) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.last().state is LinkState.UNUSABLE)
    assert "profile" in (visit.receiver.last().reason or "")


async def test_a_hanging_connect_ends_in_time(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.faults.hang.add(Operation.CONNECT)
    settings = BleSettings(connect_timeout_s=0.5)
    async with visiting(tmp_path, cuff.identity_text, settings=settings) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.states().count(LinkState.CONNECTING) >= 2)
        cuff.faults.hang.clear()
        await wait_until(lambda: len(visit.receiver.values()) == 1)


async def test_a_mute_link_is_left_after_the_profiles_time(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.faults.mute = True
    profile = changed(CUFF, idle_timeout_s=0.3)
    async with visiting(tmp_path, cuff.identity_text, profile) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.states()[-2:] == ["connected", "waiting"])
        cuff.faults.mute = False
        await wait_until(lambda: len(visit.receiver.values()) == 1)


async def test_a_full_gateway_leaves_the_readings_on_their_device(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    async with visiting(tmp_path, cuff.identity_text) as visit:
        visit.receiver.refuses = True
        cuff.record(2)
        radio = visit.stack.radio("hci0")
        await wait_until(lambda: radio.state.last_advertisement_mono_ms)
        asked = visit.receiver.asked
        await wait_until(lambda: visit.receiver.asked >= asked + 3, what="it is heard again")
        assert cuff.done == []
        visit.receiver.refuses = False
        await wait_until(lambda: len(visit.receiver.values()) == 2)
    assert not cuff.pending


async def test_a_gateway_that_fills_up_hangs_up(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.habit.linger = 60
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: visit.receiver.of(ReadsDone))
        visit.receiver.refuses = True
        await wait_until(lambda: visit.receiver.last().state is LinkState.WAITING)
    assert cuff.link is None


async def test_single_radio_adapters_stop_scanning_for_a_connect(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    bluez.adapter().faults.connect_while_scanning = in_progress()
    async with visiting(tmp_path, cuff.identity_text) as visit:
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 1)
        await wait_until(lambda: visit.stack.radio("hci0").state.is_scanning)
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values()) == 2)


async def test_two_hundred_hang_ups_keep_no_descriptor(bluez: FakeBluez) -> None:
    """bleak leaks one socket for each link the device ends, unless ``disconnect`` is called."""
    cuff = WatchedCuff()
    cuff.pairing = cuff.pairing.NONE
    bluez.add(cuff)
    heard: asyncio.Queue[Heard] = asyncio.Queue()
    clock = SystemClock()
    scanner = Scanner("hci0", frozenset({cuff.address}), heard.put_nowait, clock.mono_ms)
    await scanner.start()
    try:
        cuff.start_advertising()
        first = await asyncio.wait_for(heard.get(), 180)
        before = 0
        for count in range(200):
            async with ble.connected(first, pair=False, timeout_s=20) as link:
                if cuff.link is not None:
                    await cuff.link.hang_up()
                await asyncio.wait_for(link.wait_lost(), 180)
            cuff.start_advertising()
            if count == 4:
                before = open_descriptors()
        assert open_descriptors() <= before
    finally:
        await scanner.stop()


async def test_errors_leave_the_bleak_module_as_our_own(bluez: FakeBluez) -> None:
    del bluez
    scanner = Scanner("hci7", frozenset(), lambda _: None, SystemClock().mono_ms)
    with pytest.raises(BleError) as caught:
        await scanner.start()
    assert caught.value.trouble is Trouble.NO_ADAPTER
