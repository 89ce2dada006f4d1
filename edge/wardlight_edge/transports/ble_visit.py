"""One link to one device, from subscribing to leaving.

The order is the one that loses nothing. A bonded cuff indicates within milliseconds of the
connection, bluetoothd confirms it at once, and what comes before our StartNotify is gone for ever:
so all measurement characteristics are subscribed first, in the order of the profile, with nothing
in between. Then what the session waits for: whatever must be read, and the clock, which is read
before it is set; then the rest. From then on the session may ask, and the visit ends when it says.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from wardlight_edge.transports.base import (
    DeviceClockSetter,
    LinkChange,
    LinkState,
    Moments,
    Octets,
    ReadsDone,
    Receiver,
    Refused,
    Request,
    Written,
)
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.ble_roles import BleLink
from wardlight_shared.profile import TransportBle

CLOCKS: Final = ("0x2A2B", "0x2A08")
MUST_READ_TRIES: Final = 3
MUST_READ_PAUSE_S: Final = 0.5
_CHECK_S: Final = 1.0
_logger = logging.getLogger(__name__)


def measures_of(plan: TransportBle) -> tuple[str, ...]:
    """What a device sends by itself, in the order of its profile."""
    return (*plan.indicate, *plan.notify)


class Visit:
    """What happens on one link; ``values`` counts what the device sent by itself.

    must_read  what is read first, and tried again when that fails
    number     tells this link from the others of the device
    """

    def __init__(
        self,
        plan: TransportBle,
        receiver: Receiver,
        clock_setter: DeviceClockSetter,
        moments: Moments,
        must_read: tuple[str, ...] = (),
        number: int = 0,
    ) -> None:
        self._plan = plan
        self._must_read = must_read
        self._receiver = receiver
        self._clock_setter = clock_setter
        self._moments = moments
        self._last_ms = moments.mono_ms()
        self._requests: deque[Request] = deque()
        self._stirred = asyncio.Event()
        self.number = number
        self.values = 0
        self.rest_s: float | None = None
        """Seconds to rest afterwards, once the session has said that it is done."""

    async def subscribe(self, link: BleLink) -> None:
        """Switch on everything the device measures. BleError UNUSABLE: it measures nothing."""
        # Telling the session first costs no time: ``offer`` only appends.
        self._receiver.offer(LinkChange(LinkState.CONNECTED, self._moments.mono_ms()))
        channels = [channel for channel in measures_of(self._plan) if link.offers(channel)]
        if not channels:
            raise BleError(Trouble.UNUSABLE, "the device offers nothing its profile measures")
        for channel in channels:
            await link.subscribe(channel, self._taker(channel))
        self._last_ms = self._moments.mono_ms()

    async def read(self, link: BleLink) -> None:
        """Read what the session waits for, set the clock, read the rest; a refusal skips one."""
        for channel in self._must_read:
            await self._read_surely(link, channel)
        target = self._plan.set_clock
        clocks = [target] if target else []
        clocks += [channel for channel in self._plan.read_once if channel in CLOCKS]
        for channel in dict.fromkeys(clocks):
            shown = await self._read_one(link, channel)
            if channel == target:
                await self._set_clock(link, channel, shown)
        for channel in self._plan.read_once:
            if channel not in (*CLOCKS, *self._must_read):
                await self._read_one(link, channel)
        wanted = (*self._must_read, *self._plan.read_once)
        absent = frozenset(channel for channel in wanted if not link.offers(channel))
        self._receiver.offer(ReadsDone(self._moments.mono_ms(), absent, self.number))

    def ask(self, request: Request) -> None:
        """The session wants something of the device."""
        self._requests.append(request)
        self._stirred.set()

    def leave(self, rest_s: float) -> None:
        """The session wants nothing more."""
        self.rest_s = rest_s
        self._stirred.set()

    async def stay(self, link: BleLink) -> None:
        """Until the link ends, the session is done, nothing came for the profile's time, or
        nothing can be accepted.
        """
        while not link.is_lost and not self._receiver.is_refusing:
            if self._requests:
                await self._do(link, self._requests.popleft())
                continue
            quiet_s = (self._moments.mono_ms() - self._last_ms) / 1000
            left_s = self._plan.idle_timeout_s - quiet_s
            if left_s <= 0 or self.rest_s is not None:
                return
            await self._wait(link, min(left_s, _CHECK_S))

    async def _wait(self, link: BleLink, wait_s: float) -> None:
        """Until the link ends, the session stirs, or the time is over."""
        self._stirred.clear()
        waits = [
            asyncio.create_task(link.wait_lost(), name="end of the link"),
            asyncio.create_task(self._stirred.wait(), name="word of the session"),
        ]
        try:
            await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _do(self, link: BleLink, request: Request) -> None:
        """A request of the session; what the device refuses is told, an ended link is an error."""
        channel = request.channel
        try:
            if request.octets is None:
                self._take(channel, await link.read(channel), is_read=True)
            else:
                await link.write(channel, request.octets)
                self._receiver.offer(Written(channel, self._moments.mono_ms()))
        except BleError as error:
            _raise_if_ended(link, error)
            if error.trouble is Trouble.NOT_PAIRED:
                raise
            extra = {"channel": channel, "error": str(error)}
            _logger.info("request refused", extra=extra)
            mono_ms = self._moments.mono_ms()
            self._receiver.offer(Refused(channel, str(error), mono_ms, error.att_code))
        self._last_ms = self._moments.mono_ms()

    async def _read_surely(self, link: BleLink, channel: str) -> None:
        """Read a value, again after a pause when that fails; a link that ends says so."""
        for attempt in range(MUST_READ_TRIES):
            if attempt:
                await self._pause(link)
            if not link.offers(channel) or await self._read_one(link, channel) is not None:
                return

    async def _pause(self, link: BleLink) -> None:
        try:
            async with asyncio.timeout(MUST_READ_PAUSE_S):
                await link.wait_lost()
        except TimeoutError:
            return

    async def _read_one(self, link: BleLink, channel: str) -> bytes | None:
        if not link.offers(channel):
            return None
        try:
            octets = await link.read(channel)
        except BleError as error:
            _raise_if_ended(link, error)
            _logger.info("value not read", extra={"channel": channel, "error": str(error)})
            return None
        self._take(channel, octets, is_read=True)
        return octets

    async def _set_clock(self, link: BleLink, channel: str, shown: bytes | None) -> None:
        octets = self._clock_setter.octets_for(channel, shown)
        if octets is None or not link.offers(channel):
            return
        try:
            await link.write(channel, octets)
        except BleError as error:
            _raise_if_ended(link, error)
            _logger.warning("clock not set", extra={"channel": channel, "error": str(error)})
        else:
            self._clock_setter.written(channel)

    def _taker(self, channel: str) -> Callable[[bytes], None]:
        def take(octets: bytes) -> None:
            self.values += 1
            self._take(channel, octets, is_read=False)

        return take

    def _take(self, channel: str, octets: bytes, *, is_read: bool) -> None:
        mono_ms, wall_ms = self._moments.mono_ms(), self._moments.wall_ms()
        self._receiver.offer(Octets(channel, octets, mono_ms, wall_ms, is_read))
        self._last_ms = mono_ms


def _raise_if_ended(link: BleLink, error: BleError) -> None:
    """A value the device refuses or never gives is missed by nobody; a lost link ends the visit."""
    if link.is_lost or error.trouble in {Trouble.LOST, Trouble.NO_BUS}:
        raise error
