"""One connection's conversation: hello, envelopes up, acks down, until the link ends.

The first link of a process sends nothing before its hello is answered: only the answer shows
whether the outbox was rolled back to an older copy, whose next seqs would repeat known numbers. On
later links alarm and live records go at once; the backlog waits for the answer, so that what the
collector has already is not sent again.
"""

import asyncio
import logging
from collections.abc import Callable

from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.uplink.base import ImagesOnLink, Link, Message
from wardlight_edge.uplink.greeting import Greeting
from wardlight_edge.uplink.sending import Sending
from wardlight_edge.uplink.status import UplinkState
from wardlight_shared import control, topics
from wardlight_shared.control import Ack, GatewayConfig, Receipt
from wardlight_shared.errors import EnvelopeError

_log = logging.getLogger(__name__)


class Conversation:
    """Runs over one link."""

    def __init__(
        self,
        link: Link,
        settings: UplinkSettings,
        gateway: str,
        outbox: Outbox,
        clock: Clock,
        state: UplinkState,
        *,
        on_live_until: Callable[[int | None], None],
        images: Callable[[], ImagesOnLink | None] = lambda: None,
    ) -> None:
        self._link = link
        self._outbox = outbox
        self._clock = clock
        self._state = state
        self._on_live_until = on_live_until
        self._images = images
        self._greeting = Greeting(link, settings, gateway, outbox, clock, state)
        self._sending = Sending(link, settings, gateway, outbox, clock, state, self._greeting)

    async def run(self) -> None:
        """Until the link ends (TransportError) or the task is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name="uplink listens")
                group.create_task(self._greeting.run(), name="uplink greets")
                group.create_task(self._sending.watch_outbox(), name="uplink watches the outbox")
                group.create_task(self._sending.run(), name="uplink sends")
        finally:
            await self._sending.end()

    async def _listen(self) -> None:
        while True:
            message = await self._link.receive()
            try:
                await self._take(message)
            except EnvelopeError as error:
                # A newer or broken collector: records stay here until it speaks our version.
                self._state.reason = f"not understood: {error}"
                _log.warning("message from the collector not understood", extra={"why": str(error)})

    async def _take(self, message: Message) -> None:
        match topics.parse(message.topic).down:
            case topics.Down.ACK:
                await self._take_ack(control.decode(message.payload, Ack))
            case topics.Down.CONFIG:
                config = control.decode(message.payload, GatewayConfig)
                self._on_live_until(config.live_until_ms)
            case topics.Down.RECEIPT | topics.Down.WORKLIST if await self._is_of_images(message):
                return
            case topics.Down.RECEIPT:
                receipt = control.decode(message.payload, Receipt)
                if receipt.epoch == self._outbox.epoch:
                    await self._outbox.forget(receipt.released)
            case _:
                return

    async def _is_of_images(self, message: Message) -> bool:
        images = self._images()
        return images is not None and await images.hear(message)

    async def _take_ack(self, ack: Ack) -> None:
        now_ms = self._clock.mono_ms()
        self._state.reason = None
        await self._sending.collector_reads(ack.reads)
        if ack.hello_wanted:
            self._greeting.say()
            if (images := self._images()) is not None:
                images.ask_anew()
        if self._is_rolled_back(ack):
            await self._outbox.renew_epoch("rolled-back")
            self._sending.forget_window()
            self._greeting.say()
        else:
            await self._greeting.hear(ack, now_ms)
            await self._sending.settle(ack, now_ms)
        self._state.acked(now_ms)
        self._sending.wake()

    def _is_rolled_back(self, ack: Ack) -> bool:
        """Whether the file is an older copy of itself.

        The collector then has numbers that the file had not given when this process began, and
        nothing was sent yet.
        """
        is_known = ack.epoch == self._outbox.epoch and not self._state.greeted
        return is_known and _last(ack) > self._state.highest_at_start


def _last(ack: Ack) -> int:
    return max([ack.upto, *(last for _, last in ack.ranges)])
