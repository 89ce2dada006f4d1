"""A bonded device that hangs up by itself, as cuffs do, hundreds of times: nothing is left behind.

All of the gateway's side is real: runner, session, transport, stack and bleak.
"""

import asyncio
import gc
from pathlib import Path
from typing import NamedTuple

import pytest

from support.ble_visits import CUFF, WatchedCuff, changed, open_descriptors
from support.bus_clients import bus_clients
from support.running_gateway import Running, running_gateway
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.transports import ble_device
from wardlight_lab.bluez import FakeBluez

pytestmark = pytest.mark.dbus

WARM_UP = 10
"""Visits after which everything that is made once has been made."""


class Held(NamedTuple):
    """What the process holds between two visits."""

    descriptors: int
    tasks: int
    connections: int
    rules: int | None


async def _held() -> Held:
    gc.collect()
    clients = await bus_clients()
    return Held(open_descriptors(), len(asyncio.all_tasks()), *clients)


async def _visits(run: Running, cuff: WatchedCuff, count: int) -> None:
    """That many readings, one each visit; the cuff ends every link."""
    for _ in range(count):
        before = run.runner.board.devices()[0].counts
        cuff.record()

        def is_over(links: int = before.links, readings: int = before.readings) -> bool:
            status = run.runner.board.devices()[0]
            is_more = status.counts.links > links and status.counts.readings > readings
            return is_more and status.state == "waiting" and cuff.link is None

        await wait_until(is_over)


async def _stay_flat(visits: int, bluez: FakeBluez, folder: Path) -> None:
    cuff = WatchedCuff()
    cuff.habit.linger = 0
    bluez.add(cuff)
    device = DeviceSettings(identity=cuff.identity_text, profile="cuff")
    # Nothing is read: such a cuff is gone before anybody could.
    profiles = {"cuff": changed(CUFF, read_once=(), set_clock=None)}
    async with running_gateway(folder, profiles, device) as run:
        await _visits(run, cuff, WARM_UP)
        before = await _held()
        await _visits(run, cuff, visits)
        after = await _held()
        status = run.runner.board.devices()[0]
        assert status.counts.links >= WARM_UP + visits
        assert status.counts.restarts == 0
        assert len(run.outbox.events()) == WARM_UP + visits
        assert after.descriptors <= before.descriptors
        assert after.tasks <= before.tasks
        assert after.connections <= before.connections
        assert (after.rules or 0) <= (before.rules or 0)


async def test_two_hundred_bonded_visits_leave_nothing_behind(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble_device, "REST_S", 0.0)
    await _stay_flat(200, bluez, tmp_path)


@pytest.mark.long
async def test_two_thousand_visits_at_the_gateways_own_pace(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    await _stay_flat(2000, bluez, tmp_path)
