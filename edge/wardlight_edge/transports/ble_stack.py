"""All of Bluetooth: the bus, the adapters, the proxies, and who was heard by which.

Without a system D-Bus, bluetoothd or adapter nothing fails: ``absence`` gives the reason per
device and everything is tried again, at first soon (bluetoothd restarts in a second or two), then
every 30 s. Proxies need none of them, and the package that speaks with them is imported only where
the settings name one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from wardlight_edge.backoff import Backoff
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.base import Moments, RadioState
from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_agent import Operator, PairingAgent, address_of
from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_edge.transports.ble_bus import SystemBus
from wardlight_edge.transports.ble_choice import choose
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.ble_radio import RETRY_S, Radio
from wardlight_edge.transports.ble_roles import BleRadio
from wardlight_edge.transports.overheard import Overheard, ProxyEars

if TYPE_CHECKING:
    from wardlight_edge.transports.esphome_radio import ProxyRadio

STARTING_S = 10.0
SIGNAL_MS = 10_000
_logger = logging.getLogger(__name__)


class Watch:
    """What is heard of one device; its transport waits on ``changed``.

    listener  told each advertisement at once, where none may be missed
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.changed = asyncio.Event()
        self.listener: Callable[[Heard], None] | None = None
        self.is_key_refused = False
        """The device ended a link because it does not know our key; the transport resets it."""
        self.last_adapter: str | None = None
        """The radio of the last visit."""
        self._heard: dict[str, Heard] = {}

    def put(self, heard: Heard) -> None:
        """A new advertisement."""
        self._heard[heard.adapter] = heard
        if self.listener is not None:
            self.listener(heard)
        self.changed.set()

    def since(self, adapters: Iterable[str], since_ms: int) -> list[Heard]:
        """The newest advertisement of each of the adapters, of those heard since then."""
        return [
            heard
            for adapter in adapters
            if (heard := self._heard.get(adapter)) is not None and heard.mono_ms > since_ms
        ]

    @property
    def last_ms(self) -> int | None:
        """When it was heard last."""
        return max((heard.mono_ms for heard in self._heard.values()), default=None)

    @property
    def signal_dbm(self) -> int | None:
        """How well it was heard, by the radio that heard it best of those that heard it lately."""
        since_ms = (self.last_ms or 0) - SIGNAL_MS
        lately = (heard.rssi for heard in self._heard.values() if heard.mono_ms >= since_ms)
        return max(lately, default=None)

    def best(self, adapters: Iterable[str], since_ms: int) -> Heard | None:
        """The strongest of the advertisements that one of the adapters has heard since then."""
        return max(self.since(adapters, since_ms), key=lambda heard: heard.rssi, default=None)


class BleStack:
    """Bluetooth for the devices with the given addresses.

    operator who pairs a device now and then; None = nobody ever
    report   told the state of an adapter when it has changed
    """

    def __init__(
        self,
        settings: BleSettings,
        addresses: Iterable[str],
        bonds: Bonds,
        moments: Moments,
        *,
        operator: Operator | None = None,
        report: Callable[[RadioState], None] | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        self.settings = settings
        self.bonds = bonds
        self.operator = operator
        self.agent = PairingAgent(operator)
        self._is_agent_stale = asyncio.Event()
        self._is_settled = asyncio.Event()
        self._report = report
        self._retry_s = retry_s
        self._backoff = Backoff(min(1.0, retry_s), retry_s)
        self._watches = {address: Watch(address) for address in addresses}
        self._bus: SystemBus | None = None
        self._is_cleared = False
        self._adapters = {
            adapter: Radio(
                adapter,
                settings,
                moments,
                self._watches.keys(),
                self._on_heard,
                self._on_radio_changed,
                retry_s,
            )
            for adapter in settings.adapters
        }
        self._proxies = self._made_proxies(moments) if settings.proxies else {}
        self._radios: dict[str, BleRadio] = {**self._adapters, **self._proxies}
        self._ears = ProxyEars(self._proxies, moments)

    def add(self, address: str) -> None:
        """Listen to a further device."""
        self._watches.setdefault(address, Watch(address))

    def drop(self, address: str) -> None:
        """Listen to a device no more; its transport has ended."""
        self._watches.pop(address, None)

    def heard_ms(self, address: str) -> int | None:
        """When a device was heard last, on the monotonic clock."""
        watch = self._watches.get(address)
        return None if watch is None else watch.last_ms

    def signal_dbm(self, address: str) -> int | None:
        """How well a device was heard last."""
        watch = self._watches.get(address)
        return None if watch is None else watch.signal_dbm

    def operator_changed(self) -> None:
        """An operator has come or gone: another way of pairing is offered, another device waits."""
        self._is_agent_stale.set()
        for watch in self._watches.values():
            watch.changed.set()

    def watch(self, address: str) -> Watch:
        """The watch of one device. KeyError: not one of the addresses."""
        return self._watches[address]

    def radio(self, adapter: str) -> BleRadio:
        """One adapter or proxy of the settings. KeyError: not one of them."""
        return self._radios[adapter]

    def states(self) -> tuple[RadioState, ...]:
        """Every adapter and proxy now."""
        return tuple(radio.state for radio in self._radios.values())

    def adapters_for(self, address: str) -> tuple[str, ...]:
        """The radios that may reach a device: the one it is bonded with, else all."""
        bonded = self.bonds.adapter_of(address)
        if bonded is None:
            return tuple(self._radios)
        return (bonded,) if bonded in self._radios else ()

    def overheard(self, since: int | None) -> Overheard:
        """What the proxies hear of anybody, for a person who scans."""
        return self._ears.since(since)

    def absence(self, address: str) -> str | None:
        """Why a device cannot be reached by this machine; None = it can."""
        adapters = self.adapters_for(address)
        if not adapters:
            bonded = self.bonds.adapter_of(address)
            return f"bonded with {bonded}, which is not in the settings"
        reasons = [self._radios[adapter].reason for adapter in adapters]
        return None if None in reasons else reasons[0]

    def choice(
        self, address: str, since_ms: int, *, is_to_pair: bool, is_stream: bool
    ) -> Heard | None:
        """By whom to visit a device that was heard since then; None = by nobody now.

        is_stream   its link will stay: only where another than the last free link is left
        is_to_pair  a bond is to be made: in a proxy only where no adapter hears the device, for a
                    proxy knows no digits and does not tell when it makes a bond anew
        """
        watch = self._watches[address]
        heard = watch.since(self.adapters_for(address), since_ms)
        if is_to_pair:
            heard = [each for each in heard if each.adapter in self._adapters] or heard
        chances = [(each, self._radios[each.adapter].room(is_stream=is_stream)) for each in heard]
        return choose(chances, watch.last_adapter)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for proxy in self._proxies.values():
                group.create_task(proxy.run(), name=proxy.adapter)
            if self._adapters or not self._proxies:
                group.create_task(self._run_adapters(), name="adapters")

    async def _run_adapters(self) -> None:
        while True:
            try:
                await self._serve()
            except* BleError as group:
                self._fail(_reason(group))
            await asyncio.sleep(self._backoff.failed())

    async def forget(self, address: str) -> None:
        """Repair, step one: drop the bond on our side; the next visit pairs anew.

        BleError: Bluetooth is not there now, so that its key cannot be dropped; nothing is done.
        """
        adapter = self.bonds.adapter_of(address)
        if adapter in self._proxies:
            await self._proxies[adapter].forget(address)
            self.bonds.forget(address)
        elif self._adapters:
            await self._forget_here(address, adapter)
        watch = self._watches.get(address)
        if watch is not None:
            watch.changed.set()

    async def _forget_here(self, address: str, adapter: str | None) -> None:
        await self._settled()
        if self._bus is None:
            reasons = [radio.reason for radio in self._adapters.values() if radio.reason]
            raise BleError(
                Trouble.NO_BUS, f"{(reasons or ['Bluetooth starts'])[0]}; try again later"
            )
        self.bonds.forget(address)
        for name in (adapter,) if adapter else tuple(self._adapters):
            try:
                await self._bus.remove_device(name, address)
            except BleError as error:
                if error.trouble is not Trouble.GONE:
                    raise

    async def _serve(self) -> None:
        bus = SystemBus(self.agent, self._adapters, self._on_adapter_changed, self._on_key_refused)
        async with bus:
            self._bus = bus
            self._is_settled.set()
            try:
                await self._end_leftovers(bus)
                async with asyncio.TaskGroup() as group:
                    scans = [
                        group.create_task(radio.run(bus), name=f"scan {radio.adapter}")
                        for radio in self._adapters.values()
                    ]
                    scans.append(group.create_task(self._keep_agent(bus), name="pairing agent"))
                    self._backoff.succeeded()
                    await bus.wait_lost()
                    for scan in scans:
                        scan.cancel()
            finally:
                self._bus = None
        raise BleError(Trouble.NO_BLUEZ, "bluetoothd has stopped")

    async def _keep_agent(self, bus: SystemBus) -> None:
        """Offer bluetoothd what can be done now; a failure begins the whole stack anew."""
        while True:
            await self._is_agent_stale.wait()
            self._is_agent_stale.clear()
            await bus.renew_agent()

    async def _end_leftovers(self, bus: SystemBus) -> None:
        """End links of a process that was killed: BlueZ keeps them, and who has one is silent.

        A device that is connected does not advertise, so it would never be heard and visited.
        """
        if self._is_cleared:
            return
        for adapter in self._adapters:
            for address in tuple(self._watches):
                if await bus.end_link(adapter, address):
                    _logger.info("link of an earlier process ended", extra={"device": address})
        self._is_cleared = True

    async def _settled(self) -> None:
        """Wait for a moment while Bluetooth starts: until it serves, or has said why not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTING_S):
                await self._is_settled.wait()

    def _fail(self, reason: str) -> None:
        self._is_settled.set()
        _logger.warning("Bluetooth is not available", extra={"reason": reason})
        for radio in self._adapters.values():
            radio.fail(reason)

    def _made_proxies(self, moments: Moments) -> dict[str, "ProxyRadio"]:
        from wardlight_edge.transports.esphome import ProxyOpener
        from wardlight_edge.transports.esphome_radio import ProxyRadio

        made = [
            ProxyRadio(
                proxy,
                ProxyOpener(proxy),
                moments,
                self._watches.keys(),
                silent_s=self.settings.silent_scan_s,
                is_bonded=lambda address, adapter: self.bonds.adapter_of(address) == adapter,
                heard=self._on_heard,
                changed=self._on_radio_changed,
                retry_s=min(1.0, self._retry_s),
            )
            for proxy in self.settings.proxies
        ]
        return {radio.adapter: radio for radio in made}

    def _on_heard(self, heard: Heard) -> None:
        watch = self._watches.get(heard.address)
        if watch is not None:
            watch.put(heard)

    def _on_adapter_changed(self, adapter: str) -> None:
        radio = self._adapters.get(adapter)
        if radio is not None:
            radio.disturb()

    def _on_key_refused(self, device_path: str) -> None:
        watch = self._watches.get(address_of(device_path))
        if watch is not None:
            watch.is_key_refused = True

    def _on_radio_changed(self) -> None:
        for watch in self._watches.values():
            watch.changed.set()
        if self._report is not None:
            for state in self.states():
                self._report(state)


def _reason(group: BaseExceptionGroup[BleError]) -> str:
    """The first sentence of a group of errors."""
    first = group.exceptions[0]
    return _reason(first) if isinstance(first, BaseExceptionGroup) else str(first)
