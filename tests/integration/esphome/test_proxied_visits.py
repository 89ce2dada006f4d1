"""Visits through proxies: the whole stack, with no Bluetooth on this machine."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from support.ble_visits import CUFF, changed, visiting
from support.proxied_cuff import ProxiedCuff
from support.waiting import wait_until
from wardlight_edge.config import BleSettings, ProxySettings
from wardlight_edge.transports.base import LinkState
from wardlight_lab.bluez import Pairing

if TYPE_CHECKING:
    from wardlight_lab.esphome.proxy import FakeProxy

Settings = Callable[["FakeProxy"], ProxySettings]
OPEN = changed(CUFF, bond=False)


def _ble(*proxies: ProxySettings) -> BleSettings:
    return BleSettings(adapters=(), proxies=proxies, connect_timeout_s=10.0)


def _identity(cuff: ProxiedCuff) -> str:
    return cuff.identity_text


async def test_a_cuff_is_read_through_a_proxy(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff()
    proxy.peripherals = [cuff]
    async with visiting(
        tmp_path, _identity(cuff), OPEN, settings=_ble(settings_for(proxy))
    ) as visit:
        cuff.record(3)
        await wait_until(lambda: len(visit.receiver.values("0x2A35")) == 3)
        await wait_until(lambda: visit.receiver.states()[-1] is LinkState.WAITING)
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values("0x2A35")) == 4)
        assert visit.receiver.values("0x2A35") == cuff.sent()
        assert {"0x2A29", "0x2A24", "0x2A25", "0x2A19", "0x2A2B"} <= set(visit.receiver.reads())
        state = visit.radios["proxy livingroom"]
        assert state.reason is None
        assert state.is_scanning


async def test_a_link_lost_in_the_middle_is_made_again(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff()
    cuff.faults.drop_after.append(2)
    proxy.peripherals = [cuff]
    async with visiting(
        tmp_path, _identity(cuff), OPEN, settings=_ble(settings_for(proxy))
    ) as visit:
        cuff.record(5)
        await wait_until(lambda: not cuff.pending and cuff.link is None)
        assert visit.receiver.values("0x2A35") == cuff.sent()
        assert len(cuff.sent()) == 5


async def test_a_bond_lies_in_the_proxy_and_is_used_again(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff(pairing=Pairing.JUST_WORKS)
    proxy.peripherals = [cuff]
    async with visiting(tmp_path, _identity(cuff), settings=_ble(settings_for(proxy))) as visit:
        cuff.record()
        await wait_until(lambda: visit.bonds.adapter_of(cuff.address) == "proxy livingroom")
        await wait_until(lambda: visit.receiver.states()[-1] is LinkState.WAITING)
        cuff.record(2)
        await wait_until(lambda: len(visit.receiver.values("0x2A35")) == 3)
        assert visit.receiver.values("0x2A35") == cuff.sent()


async def test_a_lost_bond_is_repaired_in_the_proxy(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff(pairing=Pairing.JUST_WORKS)
    proxy.peripherals = [cuff]
    async with visiting(
        tmp_path, _identity(cuff), settings=_ble(settings_for(proxy)), repair_s=60
    ) as visit:
        cuff.record()
        await wait_until(lambda: visit.bonds.adapter_of(cuff.address))
        await wait_until(lambda: visit.receiver.states()[-1] is LinkState.WAITING)
        cuff.faults.refuse_bond = True
        cuff.record()
        await wait_until(lambda: visit.receiver.states()[-1] is LinkState.BOND_LOST)
        assert cuff.pending, "nothing was taken meanwhile"
        await visit.transport.repair()
        await wait_until(lambda: len(visit.receiver.values("0x2A35")) == 2)
        assert visit.receiver.values("0x2A35") == cuff.sent()


async def test_a_cuff_is_told_absent_while_its_only_proxy_is_away(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff()
    proxy.peripherals = [cuff]
    settings = _ble(settings_for(proxy))
    await proxy.stop()
    async with visiting(tmp_path, _identity(cuff), OPEN, settings=settings) as visit:
        await wait_until(lambda: LinkState.ABSENT in visit.receiver.states())
        assert "cannot be reached" in (visit.stack.absence(cuff.address) or "")
        await proxy.start()
        cuff.record()
        await wait_until(lambda: visit.receiver.values("0x2A35"))


async def test_of_two_proxies_the_nearer_is_used_and_the_other_when_it_is_full(
    key: bytes, settings_for: Settings, tmp_path: Path
) -> None:
    from wardlight_lab.esphome.proxy import FakeProxy

    cuff = ProxiedCuff()
    cuff.rssi = {"near": -50, "far": -75}
    cuff.habit.advertise = 600
    async with AsyncExitStack() as stack:
        near = await stack.enter_async_context(FakeProxy([cuff], key=key, name="near"))
        far = await stack.enter_async_context(FakeProxy([cuff], key=key, name="far"))
        settings = _ble(settings_for(far), settings_for(near))
        visit = await stack.enter_async_context(
            visiting(tmp_path, _identity(cuff), OPEN, settings=settings)
        )
        await wait_until(lambda: near.listener and far.listener)
        for count in (1, 2, 3):
            cuff.record()
            await wait_until(lambda: len(visit.receiver.values("0x2A35")) == count)  # noqa: B023
            await wait_until(lambda: cuff.link is None)
        assert (near.connects, far.connects) == (3, 0)
        near.lend(3)
        await wait_until(lambda: visit.stack.radio("proxy near").free_links == 0)
        cuff.record()
        await wait_until(lambda: len(visit.receiver.values("0x2A35")) == 4)
        assert (near.connects, far.connects) == (3, 1)
