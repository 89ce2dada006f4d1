"""One Bluetooth adapter: it scans without end, and lends itself for links.

- Active scanning goes on while links stand and are made. Where the controller cannot do both
  (BlueZ answers InProgress), the scan is stopped for the connect, from then on for every connect.
- Connects are made one at a time; at most ``max_links`` links stand. Devices that stay connected
  leave one of them free, so that a cuff always finds a place.
- A scan that hears nothing for ``silent_scan_s`` is started anew; when that does not help, the
  adapter is switched off and on. In a place with no Bluetooth at all silence is no fault, so
  rounds 2, 4, 8, ... only switch it, and never while a link stands.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from wardlight_edge.config import BleSettings
from wardlight_edge.transports import ble
from wardlight_edge.transports.base import Moments, RadioState
from wardlight_edge.transports.ble import Heard, Scanner
from wardlight_edge.transports.ble_bus import SystemBus
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.ble_roles import BleLink
from wardlight_edge.transports.held_links import HeldLinks
from wardlight_edge.transports.radio_hearing import Hearing

RETRY_S: Final = 30.0
SOON_S: Final = 2.0
SETTLE_S: Final = 20.0
_logger = logging.getLogger(__name__)


class Radio:
    """One adapter.

    heard    told each advertisement of the devices in ``wanted``
    changed  told that ``state`` has changed
    """

    def __init__(
        self,
        adapter: str,
        settings: BleSettings,
        moments: Moments,
        wanted: Collection[str],
        heard: Callable[[Heard], None],
        changed: Callable[[], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self.adapter = adapter
        self._settings = settings
        self._moments = moments
        self._changed = changed
        self._retry_s = retry_s
        self._hearing = Hearing(moments, settings.silent_scan_s, changed)
        self._scanner = Scanner(adapter, wanted, heard, self._hearing.heard)
        self._slots = asyncio.Semaphore(settings.max_links)
        self._most_streams = max(settings.max_links - 1, 1)
        self._stream_slots = asyncio.Semaphore(self._most_streams)
        self._held = HeldLinks(changed)
        self._connecting = asyncio.Lock()
        self._pauses_for_connect = False
        self._quiet_wanted = 0
        self._wake = asyncio.Event()
        self._is_disturbed = False
        self._is_cycling = False
        self._stopped = asyncio.Event()
        self._stopped.set()
        self._power_cycles = 0

    @property
    def reason(self) -> str | None:
        """Why the adapter does not serve, None = it does."""
        return self._hearing.reason

    @property
    def state(self) -> RadioState:
        """A frozen copy of what is known."""
        return RadioState(
            adapter=self.adapter,
            reason=self._hearing.reason,
            is_scanning=not self._stopped.is_set(),
            links=self._held.links,
            last_advertisement_mono_ms=self._hearing.last_ms,
            scan_restarts=self._hearing.scan_restarts,
            power_cycles=self._power_cycles,
        )

    @property
    def free_links(self) -> int | None:
        """How many more links it could hold now."""
        return self._settings.max_links - self._held.links

    def room(self, *, is_stream: bool) -> int | None:
        """How many more links of a kind it could hold now: streams leave one free."""
        free = self._settings.max_links - self._held.links
        return min(free, self._most_streams - self._held.streams) if is_stream else free

    async def run(self, bus: SystemBus) -> None:
        """Scan until cancelled. BleError NO_BUS, NO_BLUEZ: the whole stack must begin again."""
        while True:
            self._is_disturbed = False
            try:
                await self._power_on(bus)
                if await self._scan_until_silent():
                    await self._recover(bus)
            except BleError as error:
                if error.trouble in {Trouble.NO_BUS, Trouble.NO_BLUEZ}:
                    raise
                self._hearing.reason = str(error)
                await self._undisturbed(self._wait_s(error))

    def disturb(self) -> None:
        """The adapter came, went or was switched: look at it now."""
        self._is_disturbed = not self._is_cycling
        self._wake.set()

    def fail(self, reason: str) -> None:
        """The stack below is gone; ``run`` will say when the adapter serves again."""
        self._hearing.reason = reason

    def must_pause(self) -> None:
        """BlueZ said that it cannot connect while it scans: stop the scan for each connect."""
        if not self._pauses_for_connect:
            _logger.info("scan pauses for connects", extra={"adapter": self.adapter})
        self._pauses_for_connect = True

    @asynccontextmanager
    async def slot(self, *, is_stream: bool) -> AsyncIterator[None]:
        """The right to hold one link; waits for a free one."""
        if is_stream:
            async with self._stream_slots, self._counted(is_stream=True):
                yield
        else:
            async with self._counted(is_stream=False):
                yield

    @asynccontextmanager
    async def connecting(self) -> AsyncIterator[None]:
        """The right to connect: one at a time, without a scan where that is needed."""
        async with self._connecting:
            if not self._pauses_for_connect:
                yield
                return
            self._quiet_wanted += 1
            self._wake.set()
            try:
                await self._scan_stopped()
                yield
            finally:
                self._quiet_wanted -= 1
                self._wake.set()

    def connected(
        self, heard: Heard, *, pair: bool, timeout_s: float, measures: tuple[str, ...]
    ) -> AbstractAsyncContextManager[BleLink]:
        """Connect to a device just heard; the link ends with the context."""
        del measures  # BlueZ is asked for each when the link stands
        return ble.connected(heard, pair=pair, timeout_s=timeout_s)

    async def _scan_stopped(self) -> None:
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._stopped.wait()
        except TimeoutError as error:
            raise BleError(Trouble.TIMEOUT, "the scan does not stop") from error

    @asynccontextmanager
    async def _counted(self, *, is_stream: bool) -> AsyncIterator[None]:
        async with self._slots:
            with self._held.one(is_stream=is_stream):
                yield

    # -- the scan

    async def _power_on(self, bus: SystemBus) -> None:
        if await bus.is_powered(self.adapter):
            return
        _logger.info("adapter switched on", extra={"adapter": self.adapter})
        try:
            await bus.set_powered(self.adapter, on=True)
        except BleError as error:
            if error.trouble in {Trouble.NO_BUS, Trouble.NO_BLUEZ}:
                raise
            reason = f"adapter {self.adapter} has no power and cannot be switched on (rfkill?)"
            raise BleError(Trouble.POWERED_OFF, reason) from error

    async def _scan_until_silent(self) -> bool:
        """Scan, with pauses where they are asked for.

        True = nothing was heard for too long, False = the adapter has changed.
        """
        while not self._is_disturbed:
            if self._quiet_wanted:
                await self._woken(None)
            elif await self._scan_once():
                return True
        return False

    async def _scan_once(self) -> bool:
        """One scan; True = it fell silent, False = it was interrupted."""
        started_ms = self._moments.mono_ms()
        self._stopped.clear()
        try:
            await self._scanner.start()
            self._hearing.reason = None
            while not self._quiet_wanted and not self._is_disturbed:
                left_s = self._hearing.silence_left_s(started_ms)
                if left_s <= 0:
                    return True
                await self._woken(left_s)
            return False
        finally:
            await self._scanner.stop()
            self._stopped.set()

    def _wait_s(self, error: BleError) -> float:
        """A missing adapter announces itself; what failed for the moment is tried soon."""
        lasting = error.trouble in {Trouble.NO_ADAPTER, Trouble.POWERED_OFF}
        return self._retry_s if lasting else min(SOON_S, self._retry_s)

    async def _undisturbed(self, wait_s: float) -> None:
        """Wait, but not longer than until the adapter changes."""
        end_ms = self._moments.mono_ms() + wait_s * 1000
        while not self._is_disturbed and self._moments.mono_ms() < end_ms:
            await self._woken((end_ms - self._moments.mono_ms()) / 1000)

    async def _woken(self, wait_s: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _recover(self, bus: SystemBus) -> None:
        """The scan was silent: begin it anew, or switch the adapter off and on."""
        self._hearing.silent_rounds += 1
        rounds = self._hearing.silent_rounds
        if rounds > 1 and rounds & (rounds - 1) == 0 and not self._held.links:
            self._power_cycles += 1
            extra = {"adapter": self.adapter, "silent_rounds": rounds}
            _logger.warning("silent scan: adapter switched off and on", extra=extra)
            await self._cycle(bus)
        else:
            self._hearing.scan_restarts += 1
            _logger.info("silent scan started anew", extra={"adapter": self.adapter})
        self._changed()

    async def _cycle(self, bus: SystemBus) -> None:
        self._is_cycling = True
        try:
            await bus.set_powered(self.adapter, on=False)
            await bus.set_powered(self.adapter, on=True)
        finally:
            self._is_cycling = False
