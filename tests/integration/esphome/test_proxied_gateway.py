"""From a proxy to the outbox, on a machine without Bluetooth."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from support.ble_visits import CUFF, changed
from support.proxied_cuff import ProxiedCuff
from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import BleSettings, DeviceSettings, ProxySettings
from wardlight_edge.profiles import load
from wardlight_lab.devices.advertisers import BATTERY, BTHOME, TEMPERATURE, Advertiser
from wardlight_shared.codes import BY_WIRE

if TYPE_CHECKING:
    from wardlight_lab.esphome.proxy import FakeProxy

Settings = Callable[["FakeProxy"], ProxySettings]


def _ble(*proxies: ProxySettings) -> BleSettings:
    return BleSettings(adapters=(), proxies=proxies)


async def test_a_cuff_behind_a_proxy_fills_the_outbox_and_the_status_page(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff()
    cuff.habit.linger = 5  # long enough for all that is read
    proxy.peripherals = [cuff]
    device = DeviceSettings(
        identity=cuff.identity_text,
        profile="cuff",
        serial_number=cuff.identity.serial,
    )
    profiles = {"cuff": changed(CUFF, bond=False)}
    async with running_gateway(tmp_path, profiles, device, ble=_ble(settings_for(proxy))) as run:
        cuff.record(2)
        await wait_until(lambda: len(run.outbox.events()) == 2)
        names = [BY_WIRE[run.outbox.key(n).metric].name for n in run.outbox.events()[0].series]
        assert names == ["systolic_bp", "diastolic_bp", "mean_bp", "pulse_rate_nibp"]
        (radio,) = run.runner.board.radios()
        assert (radio.adapter, radio.reason, radio.links) == ("proxy livingroom", None, 1)
        await wait_until(lambda: run.outbox.statuses("info"))
        assert run.runner.board.devices()[0].info.serial_number == cuff.identity.serial
        await proxy.stop()
        await wait_until(lambda: run.state() == "absent")
        assert (run.runner.board.devices()[0].reason or "").startswith("proxy livingroom ")
        await wait_until(lambda: any(_reason(each) for each in run.outbox.statuses("radio")))


async def test_what_a_device_advertises_comes_through_a_proxy(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    sensor = Advertiser("54:48:E6:8F:80:A5", "sensor", interval_s=0.05)
    # 25.00 degrees and a battery of 93 %, as in bthome.io/format
    payload = bytes([0x40, BATTERY, 0x5D, TEMPERATURE]) + bytes.fromhex("c409")
    proxy.peripherals = [sensor]
    device = DeviceSettings(identity=sensor.identity_text, profile="generic-bthome")
    profiles = load(ROOT / "firmware-configs", ["generic-bthome"])
    async with running_gateway(tmp_path, profiles, device, ble=_ble(settings_for(proxy))) as run:
        sensor.advertise({BTHOME: payload})
        await wait_until(lambda: run.outbox.events())
        event = run.outbox.events()[0]
        told = {
            BY_WIRE[run.outbox.key(number).metric].name: mantissa
            for number, mantissa in zip(event.series, event.mantissas, strict=True)
        }
        assert 2500 in told.values(), told
    assert sensor.visits == 0


def _reason(status: object) -> object:
    return getattr(status, "data", {}).get("reason")
