"""Images and worklists on the uplink, from the moment the imaging process has made its spool.

Delivered over the gateway's one connection to the broker, or over HTTPS where the settings say so;
the worklist comes over the broker in both cases. A spool that refuses is tried again, and the
records go on meanwhile. Imported with the first spool: a gateway without imaging pays nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from wardlight_edge.backoff import Backoff
from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.spool.base import SendingSpool
from wardlight_edge.uplink.base import Link, Message
from wardlight_edge.uplink.blob_delivery import Channel, Delivery
from wardlight_edge.uplink.drops import Drops
from wardlight_edge.uplink.status import ImageState
from wardlight_edge.uplink.worklist_asking import WorklistAsking
from wardlight_shared import blobs, topics
from wardlight_shared.blobs import BlobState, BlobStatus
from wardlight_shared.errors import ConfigError, StorageError, TransportError

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


class MqttChannel:
    """Blobs over the connection that carries the records."""

    parts = 2

    def __init__(self, link: Link, gateway: str) -> None:
        self._link = link
        self._topic = topics.blob(gateway)

    def send(self, message: bytes, offer: bytes | None, taken: Callable[[], None]) -> None:
        """Publish; ``taken`` with the PUBACK."""
        self._link.publish(self._topic, message, taken=taken, limit=blobs.MAX_BYTES)


class Images:
    """What one gateway's spool has to do with its uplink."""

    def __init__(
        self,
        settings: UplinkSettings,
        gateway: str,
        spool: SendingSpool,
        clock: Clock,
        state: ImageState,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._spool = spool
        self._clock = clock
        self._state = state
        self._delivery: Delivery | None = None
        self._worklist: WorklistAsking | None = None

    async def on_link(self, link: Link) -> None:
        """On one connection to the broker, until cancelled or TransportError from it."""
        channel = MqttChannel(link, self._gateway)
        self._worklist = WorklistAsking(channel, self._spool)
        try:
            async with asyncio.TaskGroup() as group:
                asking = self._persisting(self._worklist.run)
                group.create_task(asking, name="worklist is asked for")
                if self._settings.images == "mqtt":
                    sending = self._persisting(lambda: self._deliver(channel))
                    group.create_task(sending, name="images go up")
        finally:
            self._worklist = None

    async def off_link(self, outbox: Outbox) -> None:
        """What needs no connection to the broker, for ever."""
        drops = Drops(self._spool, outbox, self._clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(drops.run(), name="what was given up is told")
            group.create_task(self.over_https(), name="images go up beside the broker")

    async def over_https(self) -> None:
        """Beside the broker, for ever, where the settings say so."""
        if self._settings.images != "https":
            return
        pause = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                await self._one_https_channel(pause)
            except* (TransportError, ConfigError) as errors:
                self._state.reason = f"images over HTTPS: {errors.exceptions[0]}"
                _log.warning("images do not go up", extra={"why": self._state.reason})
            await asyncio.sleep(pause.failed())

    async def _one_https_channel(self, pause: Backoff) -> None:
        from wardlight_edge.uplink.blob_https import HttpsChannel

        async with (
            HttpsChannel(self._settings, self._clock, self._answered) as channel,
            asyncio.TaskGroup() as group,
        ):
            sending = self._persisting(lambda: self._deliver(channel))
            group.create_task(sending, name="images go up")
            try:
                await channel.ended()
            finally:
                if channel.was_answered:
                    pause.succeeded()

    async def hear(self, message: Message) -> bool:
        """Take what came down; False when it is not about images. EnvelopeError: unreadable."""
        if topics.parse(message.topic).down is topics.Down.WORKLIST:
            await self._hear_worklist(message.payload)
            return True
        if not blobs.is_blob_state(message.payload):
            return False
        self._answered(blobs.decode_state(message.payload))
        return True

    async def _hear_worklist(self, page: bytes) -> None:
        if self._worklist is not None:
            try:
                await self._worklist.hear(page)
            except StorageError as error:
                self._note(error)

    def ask_anew(self) -> None:
        """A collector took over the shard: what it has is asked for."""
        if self._delivery is not None and self._settings.images == "mqtt":
            self._delivery.ask_anew()
        if self._worklist is not None:
            self._worklist.ask_anew()

    def _answered(self, state: BlobState) -> None:
        if self._delivery is not None:
            is_later = state.status is BlobStatus.LATER
            self._state.reason = f"the cloud asks to wait ({state.reason})" if is_later else None
            self._delivery.hear(state)

    async def _deliver(self, channel: Channel) -> None:
        delivery = Delivery(channel, self._settings, self._spool, self._clock, self._state)
        self._delivery = delivery
        try:
            await delivery.run()
        finally:
            if self._delivery is delivery:
                self._delivery = None

    async def _persisting(self, part: Callable[[], Awaitable[None]]) -> None:
        """Run a part again when the spool has refused; the records' connection goes on."""
        pause = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                await part()
            except StorageError as error:
                self._note(error)
                await asyncio.sleep(pause.failed())

    def _note(self, error: StorageError) -> None:
        self._state.reason = f"the spool of images: {error}"
        _log.warning("the spool of images refuses", extra={"why": str(error)})
