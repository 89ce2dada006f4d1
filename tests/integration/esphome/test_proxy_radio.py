"""A proxy as a radio: found, lost, refused, silent, and its links."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from support.proxied_cuff import ProxiedCuff
from support.waiting import let_run, wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import ProxySettings
from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.ble_roles import BleLink
from wardlight_edge.transports.esphome_radio import ProxyRadio
from wardlight_lab.bluez import Operation, Pairing

if TYPE_CHECKING:
    from wardlight_lab.esphome.proxy import FakeProxy

Settings = Callable[["FakeProxy"], ProxySettings]
MEASUREMENT = "0x2A35"
FEATURES = 0x7F  # as the emulated proxy has them


class Listening:
    """A radio and what it has heard."""

    def __init__(self, settings: ProxySettings, wanted: Set[str], silent_s: float) -> None:
        from wardlight_edge.transports.esphome import ProxyOpener

        self.heard: list[Heard] = []
        self.bonded: set[str] = set()
        self.radio = ProxyRadio(
            settings,
            ProxyOpener(settings),
            SystemClock(),
            wanted,
            silent_s=silent_s,
            is_bonded=lambda address, _: address in self.bonded,
            heard=self.heard.append,
            changed=lambda: None,
            retry_s=0.05,
        )


@asynccontextmanager
async def listening(
    settings: ProxySettings, wanted: Set[str] = frozenset(), silent_s: float = 90.0
) -> AsyncIterator[Listening]:
    made = Listening(settings, wanted, silent_s)
    task = asyncio.create_task(made.radio.run(), name="radio")
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_without_its_key_it_says_so_until_the_key_is_there(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    settings = settings_for(proxy)
    key = settings.noise_key_file
    text = key.read_text(encoding="ascii")
    key.unlink()
    async with listening(settings) as made:
        reason = str(await wait_until(lambda: made.radio.reason))
        assert f"{key}: the key of the proxy cannot be read" in reason
        key.touch(mode=0o644)
        await wait_until(lambda: f"chmod 600 {key}" in str(made.radio.reason))
        key.chmod(0o600)
        await wait_until(lambda: "44 characters" in str(made.radio.reason))
        key.write_text(text, encoding="ascii")
        await wait_until(lambda: made.radio.reason is None)


async def test_what_the_proxy_hears_is_heard(proxy: "FakeProxy", settings_for: Settings) -> None:
    cuff = ProxiedCuff()
    cuff.rssi = {proxy.name: -47}
    cuff.advertisement.manufacturer_data[0x0157] = b"\x01\x02"
    stranger = ProxiedCuff("stranger")
    proxy.peripherals = [cuff, stranger]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record()
        stranger.record()
        await wait_until(lambda: made.heard)
        heard = made.heard[0]
        assert (heard.address, heard.adapter, heard.rssi) == (cuff.address, "proxy livingroom", -47)
        assert ("manufacturer:0x0157", b"\x01\x02") in [(a.kind, a.payload) for a in heard.adverts]
        assert made.radio.reason is None
        assert made.radio.state.is_scanning
        assert made.radio.state.last_advertisement_mono_ms is not None
        assert {each.address for each in made.heard} == {cuff.address}, "strangers are not told"


async def test_packets_that_are_none_do_no_harm(proxy: "FakeProxy", settings_for: Settings) -> None:
    cuff = ProxiedCuff()
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        await wait_until(lambda: proxy.listener)
        assert proxy.listener is not None
        number = int(cuff.address.replace(":", ""), 16)
        for address, octets in ((1 << 60, b"\xff" * 31), (number, b""), (number, b"\xfe" * 100)):
            proxy.listener.tell_packet(address, octets)
        await wait_until(lambda: len(made.heard) == 2)
        assert [each.adverts for each in made.heard] == [(), ()]
        cuff.record()
        await wait_until(lambda: len(made.heard) > 2)
        assert made.radio.reason is None


async def test_a_link_through_a_proxy_subscribes_reads_and_writes(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    cuff = ProxiedCuff()
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record(2)
        values: list[bytes] = []
        async with await _link(made) as link:
            await link.subscribe(MEASUREMENT, values.append)
            assert link.offers("0x2A19")
            assert not link.offers("0x2A37")
            assert await link.read("0x2A24") == b"UA-651BLE"
            await link.write("0x2A2B", bytes.fromhex("ea07080107000006 0000"))
            await wait_until(lambda: len(values) == 2)
            await asyncio.wait_for(link.wait_lost(), 180)
            with pytest.raises(BleError) as refused:
                await link.read("0x2A24")
            assert refused.value.trouble is Trouble.LOST
        assert values == cuff.sent()
        await wait_until(lambda: made.radio.free_links == 3)


async def test_a_refused_request_tells_its_att_error(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    cuff = ProxiedCuff()
    cuff.faults.fail_gatt("00002a24-0000-1000-8000-00805f9b34fb", Operation.READ, 0x80)
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record()
        async with await _link(made) as link:
            with pytest.raises(BleError, match="ATT error 0x80") as refused:
                await link.read("0x2A24")
            assert (refused.value.trouble, refused.value.att_code) == (Trouble.GATT, 0x80)
            assert await link.read("0x2A24") == b"UA-651BLE", "the link is still good"


async def test_a_device_that_wants_encryption_says_so(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    cuff = ProxiedCuff(pairing=Pairing.JUST_WORKS)
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record()
        async with await _link(made) as link:
            with pytest.raises(BleError) as refused:
                await link.subscribe(MEASUREMENT, lambda _: None)
            assert refused.value.trouble is Trouble.NOT_PAIRED


async def test_what_a_bonded_device_sends_when_it_is_encrypted_is_not_lost(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    """The proxy confirms and drops what nobody has asked it to forward."""
    cuff = ProxiedCuff(pairing=Pairing.JUST_WORKS)
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record()
        async with await _link(made, pair=True) as link:
            await link.subscribe(MEASUREMENT, lambda _: None)
            await asyncio.wait_for(link.wait_lost(), 180)
        assert proxy.bonds[cuff.address], "the device remembers what was switched on"
        made.bonded.add(cuff.address)
        values: list[bytes] = []
        made.heard.clear()
        cuff.record(3)
        async with await _link(made) as link:
            await wait_until(lambda: not cuff.pending, what="it has sent before we subscribe")
            with contextlib.suppress(BleError):  # it may have hung up already
                await link.subscribe(MEASUREMENT, values.append)
        assert values == cuff.sent()[1:]
        assert len(values) == 3


async def test_a_key_that_one_side_has_lost_is_told(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    cuff = ProxiedCuff(pairing=Pairing.JUST_WORKS)
    proxy.peripherals, proxy.bonds = [cuff], {cuff.address: set()}
    cuff.faults.refuse_bond = True
    async with listening(settings_for(proxy), {cuff.address}) as made:
        made.bonded.add(cuff.address)
        cuff.record()
        with pytest.raises(BleError) as lost:
            await (await _link(made)).__aenter__()
        assert lost.value.trouble is Trouble.KEY_MISSING
        await made.radio.forget(cuff.address)
        assert proxy.bonds == {}


async def test_a_device_that_wants_digits_cannot_pair_through_a_proxy(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    cuff = ProxiedCuff(pairing=Pairing.PASSKEY_ENTRY)
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record()
        with pytest.raises(BleError) as refused:
            await (await _link(made, pair=True)).__aenter__()
        assert refused.value.trouble is Trouble.PAIRING


async def test_a_proxy_that_loses_power_is_found_again(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    cuff = ProxiedCuff()
    cuff.habit.linger = 60
    proxy.peripherals = [cuff]
    async with listening(settings_for(proxy), {cuff.address}) as made:
        cuff.record()
        async with await _link(made) as link:
            await link.subscribe(MEASUREMENT, lambda _: None)
            await proxy.stop()
            await asyncio.wait_for(link.wait_lost(), 180)
        await wait_until(lambda: made.radio.reason)
        assert "proxy livingroom" in (made.radio.reason or "")
        assert made.radio.free_links is None
        with pytest.raises(BleError) as away:
            async with made.radio.slot(is_stream=False):
                pass
        assert away.value.trouble is Trouble.GONE
        await proxy.start()
        await wait_until(lambda: made.radio.reason is None)
        made.heard.clear()
        cuff.record()
        await wait_until(lambda: made.heard)


async def test_a_proxy_says_how_many_links_are_free(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    async with listening(settings_for(proxy)) as made:
        await wait_until(lambda: made.radio.free_links == 3)
        proxy.lend(3)
        await wait_until(lambda: made.radio.free_links == 0)
        waiting = asyncio.create_task(_hold(made.radio), name="waits for a link")
        await let_run()
        assert not waiting.done()
        proxy.lend(2)
        await asyncio.wait_for(waiting, 180)


async def test_a_proxy_without_links_is_still_heard(key: bytes, settings_for: Settings) -> None:
    from wardlight_lab.esphome.proxy import FakeProxy

    cuff = ProxiedCuff()
    async with (
        FakeProxy([cuff], key=key, features=0x21) as proxy,
        listening(settings_for(proxy), {cuff.address}) as made,
    ):
        cuff.record()
        await wait_until(lambda: made.heard)
        assert made.radio.free_links is None
        assert not made.radio.state.makes_links
        assert made.radio.reason is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("other key", "refuses the key in"),
        ("no encryption", "speaks without encryption"),
        ("no proxy", "forwards no advertisements"),
        ("nobody there", "cannot be reached at"),
    ],
)
async def test_why_a_proxy_does_not_serve(
    change: str, reason: str, key: bytes, settings_for: Settings
) -> None:
    from wardlight_lab.esphome.proxy import FakeProxy

    keys = {"other key": secrets.token_bytes(32), "no encryption": None}
    features = 0 if change == "no proxy" else FEATURES
    async with FakeProxy(key=keys.get(change, key), features=features) as proxy:
        settings = settings_for(proxy)
        if change == "nobody there":
            await proxy.stop()
        async with listening(settings) as made:
            await wait_until(lambda: reason in (made.radio.reason or ""))
            assert (made.radio.reason or "").startswith("proxy livingroom ")
            assert not made.radio.state.is_scanning


async def test_a_silent_proxy_is_asked_again_and_then_left(
    proxy: "FakeProxy", settings_for: Settings
) -> None:
    """Its one place for a listener may be held by a connection it does not know to be dead."""
    cuff = ProxiedCuff()
    proxy.peripherals, proxy.is_mute = [cuff], True
    cuff.record()
    async with listening(settings_for(proxy), {cuff.address}, silent_s=0.2) as made:
        await wait_until(lambda: proxy.listen_requests >= 4)
        assert made.radio.state.scan_restarts >= 3
        await wait_until(lambda: proxy.accepted >= 3, what="it is connected anew")
        assert "it has one listener" in (made.radio.reason or "")
        proxy.is_mute = False
        await wait_until(lambda: made.heard)
        assert made.radio.reason is None
        assert proxy.sessions == 1


async def _hold(radio: ProxyRadio) -> None:
    async with radio.slot(is_stream=False):
        return


async def _link(made: Listening, *, pair: bool = False) -> AbstractAsyncContextManager[BleLink]:
    """A link to the device heard, as soon as there is one to be had."""
    await wait_until(lambda: made.heard and made.radio.free_links)
    return made.radio.connected(
        made.heard[-1], pair=pair, timeout_s=10, measures=(MEASUREMENT, "0x2A37")
    )
