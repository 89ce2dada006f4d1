"""One ESPHome proxy as a radio: it is kept connected, its adverts are heard, its links lent.

- A proxy that is away is tried again, at first soon, then every minute; the reason is on the status
  page as that of an adapter is.
- A proxy that is silent for ``silent_scan_s`` is asked for its adverts again: it has room for one
  listener, and may have held it for a connection of ours that it did not know to be dead. When that
  does not help it is left and connected anew, but never while a link stands, and the reason says
  so until it is heard.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from wardlight_edge.backoff import Backoff
from wardlight_edge.config import ProxySettings
from wardlight_edge.transports import ad_structures
from wardlight_edge.transports.adverts import Sighting, adverts_of, short_uuid
from wardlight_edge.transports.base import Moments, RadioState
from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.ble_roles import BleLink
from wardlight_edge.transports.esphome_link import Opener, OpenProxy, Packet
from wardlight_edge.transports.link_budget import LinkBudget
from wardlight_edge.transports.radio_hearing import Hearing

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0
SILENT: Final = (
    "forwards nothing: it has one listener, so no other program (Home Assistant) may use it"
)
_RANDOM: Final = 0x01  # 0 public, 1 random, 2 and 3 the same, resolved by the proxy's keys
_logger = logging.getLogger(__name__)


class ProxyRadio:
    """One proxy. Meets BleRadio.

    opener     connects to it
    is_bonded  whether its bond with this address should be in the proxy
    heard      told each advertisement of the devices in ``wanted``
    changed    told that ``state`` has changed
    sighted    told each advertisement of anybody, while somebody looks around
    """

    def __init__(
        self,
        settings: ProxySettings,
        opener: Opener,
        moments: Moments,
        wanted: Collection[str],
        *,
        silent_s: float,
        is_bonded: Callable[[str, str], bool],
        heard: Callable[[Heard], None],
        changed: Callable[[], None],
        retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self.adapter = radio_name(settings.name)
        self.sighted: Callable[[Sighting], None] | None = None
        self._opener = opener
        self._wanted = wanted
        self._is_bonded = is_bonded
        self._heard = heard
        self._changed = changed
        self._backoff = Backoff(retry_s, LONGEST_RETRY_S)
        self._budget = LinkBudget(settings.max_links, changed)
        self._connecting = asyncio.Lock()
        self._proxy: OpenProxy | None = None
        self._moments = moments
        self._hearing = Hearing(moments, silent_s, changed)

    @property
    def reason(self) -> str | None:
        """Why the proxy does not serve, None = it does."""
        return self._hearing.reason

    @property
    def state(self) -> RadioState:
        """A frozen copy of what is known."""
        return RadioState(
            adapter=self.adapter,
            reason=self._hearing.reason,
            is_scanning=self._proxy is not None,
            links=self._budget.links,
            last_advertisement_mono_ms=self._hearing.last_ms,
            scan_restarts=self._hearing.scan_restarts,
            power_cycles=0,
            makes_links=self._proxy is None or self._proxy.makes_links,
        )

    @property
    def free_links(self) -> int | None:
        """How many more links it could hold now; None: it makes none."""
        if self._proxy is None or not self._proxy.makes_links:
            return None
        return self._budget.free

    def room(self, *, is_stream: bool) -> int | None:
        """How many more links of a kind it could hold now; None: it makes none."""
        free = self.free_links
        return 0 if free and not self._budget.is_free(is_stream=is_stream) else free

    def slot(self, *, is_stream: bool) -> AbstractAsyncContextManager[None]:
        """The right to hold one link; waits for a free one. BleError GONE: the proxy is away."""
        return self._budget.slot(is_stream=is_stream)

    @asynccontextmanager
    async def connecting(self) -> AsyncIterator[None]:
        """The right to connect: one at a time."""
        async with self._connecting:
            yield

    @asynccontextmanager
    async def connected(
        self, heard: Heard, *, pair: bool, timeout_s: float, measures: tuple[str, ...]
    ) -> AsyncIterator[BleLink]:
        """Connect to a device just heard; the link ends with the context.

        A bonded device's link is encrypted each time; BleError KEY_MISSING: that failed.
        """
        try:
            async with self._open_proxy().connected(
                heard.peer,
                encrypt=pair or heard.is_paired,
                timeout_s=timeout_s,
                measures=measures,
            ) as link:
                with self._budget.standing():
                    yield link
        except BleError as error:
            if error.trouble is Trouble.PAIRING and heard.is_paired:
                raise BleError(Trouble.KEY_MISSING, str(error)) from error
            raise

    def must_pause(self) -> None:
        """A proxy pauses its own scan."""

    async def forget(self, address: str) -> None:
        """Drop the proxy's bond with a device. BleError: the proxy is away."""
        await self._open_proxy().forget(address)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                async with self._opener() as proxy:
                    self._fail(await self._serve(proxy))
            except BleError as error:
                self._fail(str(error))
            except Exception:
                _logger.exception("proxy ended by a fault", extra={"adapter": self.adapter})
                self._fail("was left for a fault; see the log")
            await asyncio.sleep(self._backoff.failed())

    async def _serve(self, proxy: OpenProxy) -> str:
        """Until the proxy must be connected anew; why."""
        self._proxy = proxy
        try:
            proxy.listen(lambda packet: self._on_packet(proxy, packet))
            if proxy.makes_links:
                proxy.count_links(self._budget.told)
            else:
                _logger.info("proxy makes no links", extra={"adapter": self.adapter})
            if not self._hearing.silent_rounds:
                self._hearing.reason = None
            self._backoff.succeeded()
            while not await self._is_lost(proxy):
                self._hearing.silent_rounds += 1
                self._hearing.scan_restarts += 1
                _logger.info("silent proxy asked again", extra={"adapter": self.adapter})
                if self._hearing.silent_rounds > 1 and not self._budget.links:
                    return SILENT
                proxy.listen(lambda packet: self._on_packet(proxy, packet))
                self._changed()
            return "has closed the connection"
        finally:
            self._proxy = None
            self._budget.told(0, 0)

    async def _is_lost(self, proxy: OpenProxy) -> bool:
        """Wait until the proxy is away (True) or has been silent for too long (False)."""
        since_ms = self._moments.mono_ms()
        while True:
            left_s = self._hearing.silence_left_s(since_ms)
            if left_s <= 0:
                return False
            try:
                async with asyncio.timeout(left_s):
                    await proxy.wait_lost()
            except TimeoutError:
                continue
            return True

    def _on_packet(self, proxy: OpenProxy, packet: Packet) -> None:
        mono_ms = self._hearing.heard()
        self._hearing.reason = None
        if self.sighted is not None:
            self.sighted(sighting_of(packet))
        if packet.address not in self._wanted:
            return
        # A proxy does not tell whom it is bonded with; our own book does.
        is_paired = self._is_bonded(packet.address, self.adapter)
        path = f"/{self.adapter.replace(' ', '/')}/dev_{packet.address.replace(':', '_')}"
        self._heard(
            Heard(
                address=packet.address,
                adapter=self.adapter,
                path=path,
                rssi=packet.rssi,
                is_paired=is_paired,
                mono_ms=mono_ms,
                peer=proxy.peer(packet),
                adverts=adverts_of(*ad_structures.read(packet.octets)),
            )
        )

    def _open_proxy(self) -> OpenProxy:
        if self._proxy is None:
            reason = self._hearing.reason or f"{self.adapter} is not connected yet"
            raise BleError(Trouble.GONE, f"{reason}; try again later")
        return self._proxy

    def _fail(self, text: str) -> None:
        reason = f"{self.adapter} {text}"
        if reason != self._hearing.reason:
            _logger.warning("proxy is not available", extra={"reason": reason})
        self._hearing.reason = reason


def radio_name(proxy: str) -> str:
    """What the radio is called beside the adapters, by the name of the proxy in the settings."""
    return f"proxy {proxy}"


def sighting_of(packet: Packet) -> Sighting:
    """What a person who looks around sees of an advertisement."""
    return Sighting(
        packet.address,
        "random" if packet.address_type & _RANDOM else "public",
        ad_structures.name(packet.octets),
        packet.rssi,
        tuple(map(short_uuid, ad_structures.services(packet.octets))),
        adverts_of(*ad_structures.read(packet.octets)),
    )
