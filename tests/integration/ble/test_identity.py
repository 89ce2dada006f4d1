"""Bound devices on the radio: a serial number that is read late, never, or is not there."""

from pathlib import Path

import pytest

from support.ble_visits import CUFF, WatchedCuff
from support.running_gateway import running_gateway
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.transports.ble_visit import MUST_READ_TRIES
from wardlight_lab.bluez import FakeBluez, Operation, Service, uuid16

pytestmark = pytest.mark.dbus

SERIAL = uuid16(0x2A25)
UNLIKELY_ERROR = 0x0E


def bound(cuff: WatchedCuff, serial_number: str | None = None) -> DeviceSettings:
    return DeviceSettings(
        identity=cuff.identity_text,
        profile="cuff",
        serial_number=serial_number or cuff.identity.serial,
    )


async def test_it_is_read_first_and_again_when_that_fails(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.habit.linger = 5
    cuff.faults.fail_gatt(SERIAL, Operation.READ, UNLIKELY_ERROR, times=MUST_READ_TRIES - 1)
    async with running_gateway(tmp_path, {"cuff": CUFF}, bound(cuff)) as run:
        cuff.record()
        await wait_until(lambda: len(run.outbox.events()) == 1)
        await wait_until(lambda: run.outbox.statuses("identity"))
    reads = [each for each in cuff.done if each.startswith("read")]
    assert reads[0] == "read 2a25"
    assert reads.count("read 2a25") == 1, "the failed ones never reached the device"
    assert run.outbox.statuses("identity")[-1].data == {"known_by": "serial-number"}


async def test_readings_wait_over_links_until_it_can_be_read(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.habit.linger = 5
    cuff.faults.fail_gatt(SERIAL, Operation.READ, UNLIKELY_ERROR, times=MUST_READ_TRIES)
    async with running_gateway(tmp_path, {"cuff": CUFF}, bound(cuff)) as run:
        cuff.record()
        await wait_until(lambda: run.state() == "unverified")
        status = run.runner.board.devices()[0]
        assert status.waiting == 1
        assert status.counts.decode_errors == 0
        assert not run.outbox.events()
        await wait_until(lambda: cuff.link is None)
        cuff.record()
        await wait_until(lambda: len(run.outbox.events()) == 2)
        await wait_until(lambda: run.state() == "waiting")
    assert not list((tmp_path / "waiting").iterdir())


async def test_a_device_without_one_is_taken_by_its_address(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.habit.linger = 5
    cuff.services = tuple(
        Service(each.uuid, tuple(part for part in each.characteristics if part.uuid != SERIAL))
        for each in cuff.services
    )
    async with running_gateway(tmp_path, {"cuff": CUFF}, bound(cuff)) as run:
        cuff.record(2)
        await wait_until(lambda: len(run.outbox.events()) == 2)
        await wait_until(lambda: run.outbox.statuses("identity"))
    assert run.outbox.statuses("identity")[-1].data == {"known_by": "address"}
