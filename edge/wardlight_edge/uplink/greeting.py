"""The hello of one connection: who speaks, which numbers wait, and the answer to it.

A hello is said at the start, again and again until it is answered, then every hour, and whenever
the epoch changes or a collector asks for it. Its answer also tells the time: server time between
saying and hearing.
"""

import asyncio
from typing import Final

from wardlight_edge.backoff import Backoff
from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.uplink.base import Link
from wardlight_edge.uplink.status import UplinkState
from wardlight_shared import __version__, control, topics
from wardlight_shared.control import Ack, Hello
from wardlight_shared.timestamps import anchor_from_server

_AGAIN_S: Final = 3600.0


class Greeting:
    """Says hello on one link."""

    def __init__(
        self,
        link: Link,
        settings: UplinkSettings,
        gateway: str,
        outbox: Outbox,
        clock: Clock,
        state: UplinkState,
    ) -> None:
        self._link = link
        self._gateway = gateway
        self._outbox = outbox
        self._clock = clock
        self._state = state
        self._pause = Backoff(settings.ack_timeout_s / 2, settings.resend_max_s)
        self._answered = asyncio.Event()
        self._said_mono_ms = 0
        self.was_answered = False
        """Whether a collector has answered on this link."""

    async def run(self) -> None:
        """Until cancelled, or TransportError from the link."""
        while True:
            self._answered.clear()
            self.say()
            if await _is_set_within(self._answered, self._pause.failed()):
                self._pause.succeeded()
                await asyncio.sleep(_AGAIN_S)

    def say(self) -> None:
        """Say hello now."""
        status = self._outbox.status()
        self._said_mono_ms = self._clock.mono_ms()
        hello = Hello(
            version=control.VERSION,
            gateway=self._gateway,
            epoch=self._outbox.epoch,
            lowest=status.lowest,
            highest=status.highest,
            mono_ms=self._said_mono_ms,
            software=__version__,
        )
        self._link.publish(topics.hello(self._gateway), control.encode(hello))
        self._state.expects_ack(self._said_mono_ms)

    async def hear(self, ack: Ack, now_ms: int) -> None:
        """Take the answer to the last hello; any other ack is none."""
        if ack.echo_mono_ms is None or ack.echo_mono_ms != self._said_mono_ms:
            return
        boot, said_ms = self._outbox.boot, self._said_mono_ms
        anchor = anchor_from_server(boot, said_ms, now_ms, ack.server_time_ms)
        self._state.round_trip_ms = now_ms - said_ms
        if anchor is not None:
            await self._outbox.add_anchor(anchor)
        self._state.greeted = self.was_answered = True
        self._answered.set()


async def _is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
