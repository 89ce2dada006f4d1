"""Two adapters that hear the same devices: the right one is used, one may go, both share the load.

All of the gateway's side is real: runner, sessions, transports, stack and bleak.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from support.ble_visits import CUFF, WatchedCuff, changed
from support.running_gateway import Running, running_gateway
from support.waiting import wait_until
from wardlight_edge.config import BleSettings, DeviceSettings
from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_lab.bluez import FakeBluez, Pairing
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter
from wardlight_shared.profile import parse

pytestmark = pytest.mark.dbus

OXIMETER = parse(
    """
schema = 1
decoder = "pulse_oximeter"
device = { manufacturer = "generic", model = "oximeter" }
stream = { block_s = 1 }
[transport.ble]
notify = ["0x2A5F"]
stay_connected = true
bond = false
[[metric]]
name = "spo2"
""",
    source="oximeter.toml",
)
PROFILES = {"cuff": changed(CUFF, read_once=(), set_clock=None), "oximeter": OXIMETER}


def watched_cuff(number: int, rssi: dict[str, int]) -> WatchedCuff:
    """A cuff of its own address."""
    made = WatchedCuff()
    made.address = f"D0:00:00:00:00:{number:02X}"
    made.rssi = rssi
    return made


def oximeter(number: int, rssi: dict[str, int]) -> PulseOximeter:
    """A worn oximeter that sends ten times a second."""
    equipment = Equipment(pairing=Pairing.NONE, advertising_interval_s=0.05)
    made = PulseOximeter("p", PatientVitals("p"), equipment=equipment, speed=10)
    made.address = f"C0:00:00:00:00:{number:02X}"
    made.rssi = rssi
    return made


def settings_of(device: EmulatedDevice, profile: str) -> DeviceSettings:
    return DeviceSettings(identity=device.identity_text, profile=profile)


def both(max_links: int = 4) -> BleSettings:
    return BleSettings(adapters=("hci0", "hci1"), connect_timeout_s=5.0, max_links=max_links)


def adapter_of(bluez: FakeBluez, device: EmulatedDevice) -> str | None:
    """The adapter that holds the link to a device."""
    for name in ("hci0", "hci1"):
        known = bluez.device(device.address, name)
        if known is not None and known.link is not None:
            return name
    return None


def readings(run: Running, device: EmulatedDevice) -> int:
    """Readings of a device so far."""
    identity = device.identity_text
    return next(
        each.counts.readings for each in run.runner.board.devices() if each.identity == identity
    )


def _go_on(run: Running, before: Sequence[tuple[EmulatedDevice, int]]) -> bool:
    """Whether each device has sent more than before."""
    return all(readings(run, device) > earlier for device, earlier in before)


def _have_come(run: Running, events: int) -> bool:
    return len(run.outbox.events()) == events


async def test_only_the_adapter_of_the_settings_is_used(bluez: FakeBluez, tmp_path: Path) -> None:
    """The other one hears the cuff far better; the gateway does not even scan with it."""
    cuff = watched_cuff(1, {"hci0": -40, "hci1": -80})
    bluez.add(cuff)
    only = BleSettings(adapters=("hci1",), connect_timeout_s=5.0)
    device = settings_of(cuff, "cuff")
    async with running_gateway(tmp_path, PROFILES, device, ble=only) as run:
        cuff.record(2)
        await wait_until(lambda: len(run.outbox.events()) == 2)
        assert bluez.adapter("hci1").is_discovering
        assert not bluez.adapter("hci0").is_discovering
        assert bluez.device(cuff.address, "hci0") is None
    assert Bonds(tmp_path / "bonds.json").adapter_of(cuff.address) == "hci1"


async def test_an_adapter_that_is_pulled_out_and_plugged_in_again(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    """What it held is lost, named and taken up again; what the other holds never notices."""
    near, far = {"hci0": -40, "hci1": -90}, {"hci0": -90, "hci1": -40}
    cuff, bonded = watched_cuff(1, near), watched_cuff(2, far)
    streams = oximeter(1, near), oximeter(2, far)
    together: tuple[EmulatedDevice, ...] = (cuff, bonded, *streams)
    for device in together:
        bluez.add(device)
    devices = [settings_of(each, "cuff") for each in (cuff, bonded)]
    devices += [settings_of(each, "oximeter") for each in streams]
    async with running_gateway(tmp_path, PROFILES, *devices, ble=both()) as run:
        for each in (cuff, bonded):
            each.record()
        await wait_until(lambda: len(run.outbox.events()) == 2)
        await wait_until(lambda: all(each.link and readings(run, each) for each in streams))
        held = {each.address: adapter_of(bluez, each) for each in streams}
        bonds = Bonds(tmp_path / "bonds.json")
        gone = bonds.adapter_of(bonded.address)
        assert gone is not None
        stays = {"hci0": "hci1", "hci1": "hci0"}[gone]
        steady = [each for each in streams if held[each.address] == stays]
        links = {each.identity: each.counts.links for each in run.runner.board.devices()}

        await bluez.unplug(gone)
        await wait_until(lambda: run.state(1) == "absent")
        assert run.runner.board.devices()[1].reason == f"adapter {gone} not found"
        bonded.record()
        before = [(each, readings(run, each)) for each in streams]
        await wait_until(
            partial(_go_on, run, before),
            what="without a bond a device is taken over by the adapter that is left",
        )
        assert len(run.outbox.events()) == 2, "the bonded one waits for the adapter with its key"
        for stream in steady:
            identity = stream.identity_text
            counts = next(
                status.counts
                for status in run.runner.board.devices()
                if status.identity == identity
            )
            assert counts.links == links[identity]

        bluez.plug_in(gone)
        await wait_until(lambda: len(run.outbox.events()) == 3)
        assert bonds.adapter_of(bonded.address) == gone
    assert not run.outbox.gaps() or {each.cause for each in run.outbox.gaps()} == {"link-lost"}


async def test_an_adapter_that_loses_its_power_gets_it_back(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    stream = oximeter(1, {"hci0": -90, "hci1": -40})
    steady = oximeter(2, {"hci0": -40, "hci1": -90})
    for each in (stream, steady):
        bluez.add(each)
    devices = [settings_of(each, "oximeter") for each in (stream, steady)]
    async with running_gateway(tmp_path, PROFILES, *devices, ble=both(max_links=2)) as run:
        await wait_until(lambda: all(each.link is not None for each in (stream, steady)))
        await wait_until(lambda: readings(run, stream) and readings(run, steady))
        name = adapter_of(bluez, stream)
        assert name is not None
        await bluez.adapter(name).set_powered(False)
        await wait_until(lambda: bluez.adapter(name).is_powered, what="it is switched on again")
        before = readings(run, stream)
        await wait_until(lambda: readings(run, stream) > before)
        await wait_until(run.outbox.gaps)
        assert {(gap.cause, gap.device) for gap in run.outbox.gaps()} <= {
            ("link-lost", each.identity_text) for each in (stream, steady)
        }


@pytest.mark.parametrize(
    "rssi",
    [{"hci0": -50, "hci1": -50}, {"hci0": -40, "hci1": -90}],
    ids=["heard alike", "hci0 nearer to all"],
)
async def test_streams_fill_both_adapters_and_leave_room_for_cuffs(
    bluez: FakeBluez, tmp_path: Path, rssi: dict[str, int]
) -> None:
    """Four that stay connected and two cuffs on two adapters of three links each."""
    streams = [oximeter(number, rssi) for number in range(1, 5)]
    cuffs = [watched_cuff(number, rssi) for number in range(1, 3)]
    for device in (*streams, *cuffs):
        bluez.add(device)
    devices = [settings_of(each, "oximeter") for each in streams]
    devices += [settings_of(each, "cuff") for each in cuffs]
    async with running_gateway(tmp_path, PROFILES, *devices, ble=both(max_links=3)) as run:
        await wait_until(
            lambda: all(readings(run, each) for each in streams), what="every stream runs"
        )
        most: Counter[str] = Counter()
        for count in range(1, 4):
            for cuff in cuffs:
                cuff.record()
            before = [(each, readings(run, each)) for each in streams]

            def has_come(wanted: int = 2 * count) -> bool:
                for radio in run.runner.board.radios():
                    most[radio.adapter] = max(most[radio.adapter], radio.links)
                return len(run.outbox.events()) == wanted

            await wait_until(has_come, what="both cuffs have got through")
            await wait_until(partial(_go_on, run, before), what="the streams run on")
        assert Counter(adapter_of(bluez, each) for each in streams) == {"hci0": 2, "hci1": 2}
        assert all(links <= 3 for links in most.values())
        assert all(each.link is not None for each in streams)


async def test_more_streams_than_links_never_keep_a_cuff_out(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    """One link for streams on each adapter of two: the other two wait, the cuffs do not."""
    alike = {"hci0": -50, "hci1": -50}
    streams = [oximeter(number, alike) for number in range(1, 5)]
    cuffs = [watched_cuff(number, alike) for number in range(1, 3)]
    for device in (*streams, *cuffs):
        bluez.add(device)
    devices = [settings_of(each, "oximeter") for each in streams]
    devices += [settings_of(each, "cuff") for each in cuffs]
    async with running_gateway(tmp_path, PROFILES, *devices, ble=both(max_links=2)) as run:
        await wait_until(lambda: sum(each.link is not None for each in streams) == 2)
        for count in range(1, 4):
            for cuff in cuffs:
                cuff.record()
            await wait_until(partial(_have_come, run, 2 * count))
        running = [each for each in streams if each.link is not None]
        assert len(running) == 2
        assert {adapter_of(bluez, each) for each in running} == {"hci0", "hci1"}

        for each in running:  # taken off: those that waited get their turn
            await bluez.remove(each)
        left = [each for each in streams if each not in running]
        await wait_until(lambda: all(readings(run, each) for each in left))
