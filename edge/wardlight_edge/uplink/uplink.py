"""The uplink: keeps a link to the broker, and a conversation on it, for the life of the gateway.

async with Uplink(settings, gateway, outbox, clock) as uplink: ...   # leaving it says goodbye
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from wardlight_edge.backoff import Backoff
from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.ntp import kernel_clock
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.uplink.base import Link, LinkFactory
from wardlight_edge.uplink.conversation import Conversation
from wardlight_edge.uplink.mqtt import mqtt_links
from wardlight_edge.uplink.status import UplinkState
from wardlight_shared import __version__, control, topics
from wardlight_shared.control import GatewayState
from wardlight_shared.errors import ConfigError, StorageError, TransportError
from wardlight_shared.timestamps import Anchor, ClockQuality

if TYPE_CHECKING:
    from wardlight_edge.spool.base import SendingSpool
    from wardlight_edge.uplink.images import Images

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_NTP_EVERY_S: Final = 600.0
GOODBYE_S: Final = 5.0
DRAIN_S: Final = 5.0
_POLL_S: Final = 0.05
_LOOK_FOR_SPOOL_S: Final = 2.0


class Uplink:
    """One per gateway; ``links`` None = MQTT as the settings say.

    ``open_spool`` opens what the imaging process has made, None while there is none; it is called
    in a thread. None: no images.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        gateway: str,
        outbox: Outbox,
        clock: Clock,
        links: LinkFactory | None = None,
        open_spool: "Callable[[], SendingSpool | None] | None" = None,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._outbox = outbox
        self._clock = clock
        self._links = links or mqtt_links(settings, gateway, self._presence(online=False))
        self._state = UplinkState()
        self._live_until_ms: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._open_spool = open_spool
        self._images: Images | None = None
        self._has_images = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._state.highest_at_start = self._outbox.status().highest
        self._task = asyncio.create_task(self._run(), name="uplink")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._drain()
        self.task.cancel()
        await asyncio.wait({self.task})

    @property
    def task(self) -> "asyncio.Task[None]":
        """The running task; it ends only by a fault."""
        if self._task is None:
            raise RuntimeError("the uplink was not entered")
        return self._task

    @property
    def live_until_ms(self) -> int | None:
        """Until when somebody watches (UTC ms), as the collector last said."""
        return self._live_until_ms

    def status(self) -> UplinkState:
        """Live counters."""
        return self._state

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected(), name="uplink connection")
            group.create_task(self._note_ntp(), name="uplink clock")
            if self._open_spool is not None:
                finding = self._find_images(self._open_spool)
                group.create_task(finding, name="uplink images")

    async def _keep_connected(self) -> None:
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                async with self._links() as link:
                    self._came_up(link)
                    backoff.succeeded()
                    try:
                        await self._converse(link)
                    finally:
                        await self._leave(link)
            except* (TransportError, StorageError, ConfigError) as errors:
                # ConfigError: a key or certificate file; an operator replaces it while we run.
                self._went_down(str(_first(errors)))
            await asyncio.sleep(backoff.failed())

    async def _converse(self, link: Link) -> None:
        link.publish(topics.state(self._gateway), self._presence(online=True), retained=True)
        conversation = Conversation(
            link,
            self._settings,
            self._gateway,
            self._outbox,
            self._clock,
            self._state,
            on_live_until=self._note_live_until,
            images=lambda: self._images,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(conversation.run(), name="uplink conversation")
            group.create_task(self._deliver_images(link), name="uplink images on a link")

    async def _deliver_images(self, link: Link) -> None:
        await self._has_images.wait()
        if self._images is not None:
            await self._images.on_link(link)

    async def _find_images(self, open_spool: "Callable[[], SendingSpool | None]") -> None:
        """Look for the spool until the imaging process has made it; nothing is loaded before."""
        spool: SendingSpool | None = None
        while spool is None:
            try:
                spool = await asyncio.to_thread(open_spool)
            except (StorageError, ConfigError) as error:
                self._state.images.reason = f"the spool of images: {error}"
            if spool is None:
                await asyncio.sleep(_LOOK_FOR_SPOOL_S)
        from wardlight_edge.uplink.images import Images

        self._images = Images(self._settings, self._gateway, spool, self._clock, self._state.images)
        self._has_images.set()
        await self._images.off_link(self._outbox)

    def _note_live_until(self, live_until_ms: int | None) -> None:
        self._live_until_ms = live_until_ms

    def _came_up(self, link: Link) -> None:
        self._link = link
        self._state.connected = True
        self._state.connections += 1
        self._state.since_mono_ms = self._clock.mono_ms()
        self._state.reason = None
        _log.info("connected to the broker")

    async def _leave(self, link: Link) -> None:
        """Tell that we go, when there is still somebody to tell."""
        self._link = None
        with contextlib.suppress(TransportError):
            link.publish(topics.state(self._gateway), self._presence(online=False), retained=True)
            await link.flush(GOODBYE_S)

    def _went_down(self, reason: str) -> None:
        if self._state.connected or self._state.reason != reason:
            _log.warning("not connected to the broker", extra={"why": reason})
        if self._state.connected:
            self._state.since_mono_ms = self._clock.mono_ms()
        self._state.connected = False
        self._state.unacked_mono_ms = None
        self._state.reason = reason

    async def _drain(self) -> None:
        """At a graceful stop: give what waits a short while to be acked."""
        ends_ms = self._clock.mono_ms() + int(DRAIN_S * 1000)
        while self._state.connected and self._outbox.status().records:
            if self._clock.mono_ms() >= ends_ms or self.task.done():
                return
            await asyncio.sleep(_POLL_S)

    async def _note_ntp(self) -> None:
        while True:
            error_ms = kernel_clock()
            if error_ms is not None:
                before_ms = self._clock.mono_ms()
                wall_ms = self._clock.wall_ms()
                await self._outbox.add_anchor(
                    Anchor(self._outbox.boot, before_ms, wall_ms, error_ms + 1, ClockQuality.NTP)
                )
            await asyncio.sleep(_NTP_EVERY_S)

    def _presence(self, *, online: bool) -> bytes:
        return control.encode(
            GatewayState(control.VERSION, online, self._outbox.epoch, __version__)
        )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
