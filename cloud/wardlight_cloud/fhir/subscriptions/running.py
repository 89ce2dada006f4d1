"""Subscriptions of one API process: watching commits, delivering, websockets."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

from starlette.routing import WebSocketRoute

from wardlight_cloud.fhir.subscriptions.delivering import LEASE_S, Deliverer, ended
from wardlight_cloud.fhir.subscriptions.metrics import NOTICES
from wardlight_cloud.fhir.subscriptions.ports import Bounds, SubscribingStore
from wardlight_cloud.fhir.subscriptions.posting import Poster
from wardlight_cloud.fhir.subscriptions.recording import Note, nowhere
from wardlight_cloud.fhir.subscriptions.signals import News, listen
from wardlight_cloud.fhir.subscriptions.sockets import Sockets
from wardlight_cloud.fhir.subscriptions.watching import Watcher

_log = logging.getLogger(__name__)
_AGAIN_S: Final = 5.0
_FIRST_S: Final = 1.0  # whoever asks is answered first


class Subscriptions:
    """``async with Subscriptions(store, bounds) as subscriptions``: alive while inside.

    ``note``: puts on record what was sent. ``begin_s``: seconds until work begins; ``poster``,
    ``lease_s``: in the place of the usual ones.
    """

    def __init__(
        self,
        store: SubscribingStore,
        bounds: Bounds,
        *,
        begin_s: float = _FIRST_S,
        poster: Poster | None = None,
        lease_s: float = LEASE_S,
        note: Note = nowhere,
    ) -> None:
        self._begin_s = begin_s
        self._store = store
        self._news, self._due = News(), News()
        self._watcher = Watcher(store, days=bounds.days)
        self._deliverer = Deliverer(
            store, poster or Poster(bounds), self._due, lease_s=lease_s, note=note
        )
        self._sockets = Sockets(store, self._news, note)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for name, work in (
            ("subscription news", partial(listen, self._store, self._news, self._due)),
            ("subscription events", self._watcher.run),
            ("subscription notices", self._deliverer.run),
        ):
            task = asyncio.create_task(self._kept_running(name, work), name=name)
            self._stack.push_async_callback(ended, task)
        return self

    async def _kept_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(self._begin_s)
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - supervisor: silence would look like no events
                NOTICES.labels("defect").inc()
                _log.exception("subscriptions failed", extra={"part": name})
                await asyncio.sleep(_AGAIN_S)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def route(self) -> WebSocketRoute:
        """The websocket's."""
        return self._sockets.route()
