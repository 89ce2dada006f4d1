"""The websocket of subscriptions: ``bind-with-token <token>``, then a Bundle in each frame.

Who binds gets a handshake for each subscription, and from then on its events as they come. What
came while nobody was bound is found with $events: the numbers tell that there is a gap. Permission
is looked at for each frame, as with other channels: who takes them slowly is no exception.

Source  Subscriptions R5 Backport 1.1.0, channels, websockets
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Final

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.subscriptions.definition import HEARTBEAT_S, Definition
from wardlight_cloud.fhir.subscriptions.matching import access_of, needed
from wardlight_cloud.fhir.subscriptions.notices import notice
from wardlight_cloud.fhir.subscriptions.ports import SubscribingStore
from wardlight_cloud.fhir.subscriptions.recording import Note, nowhere, record
from wardlight_cloud.fhir.subscriptions.resource import definition_of
from wardlight_cloud.fhir.subscriptions.seeing import told
from wardlight_cloud.fhir.subscriptions.signals import News
from wardlight_cloud.fhir.subscriptions.subscribing import SOCKETS
from wardlight_cloud.security.access import Access
from wardlight_cloud.security.tokens import token_hash
from wardlight_cloud.store.subscriptions import SubscriptionRow, SubscriptionState
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_MOST: Final = 500  # connections of one worker
_MOST_BOUND: Final = 100  # subscriptions of a connection
_BIND_S: Final = 30.0  # until the first binding
_LOOK_S: Final = float(HEARTBEAT_S[0])  # what is bound meanwhile is looked at before its first
_LEAST_S: Final = 0.05
_SEND_S: Final = 20.0
_LONGEST: Final = 512  # characters of what a client says
_BIND: Final = "bind-with-token "
_TOO_MANY, _POLICY, _NOT_TEXT, _GOING = 1013, 1008, 1003, 1001


@dataclass(slots=True)
class _Bound:
    """A subscription on a connection; ``number``: of the last event sent or passed over.

    ``sent_at``, ``beat_at``: monotonic, of the last frame and for a heartbeat, None = none is due.
    """

    generation: int
    number: int
    sent_at: float
    beat_at: float | None = None


class Sockets:
    """Serves connections."""

    def __init__(self, store: SubscribingStore, news: News, note: Note = nowhere) -> None:
        self._store = store
        self._news = news
        self._note = note
        self._open = 0

    def route(self) -> WebSocketRoute:
        """The route."""
        return WebSocketRoute(SOCKETS, self.serve)

    async def serve(self, socket: WebSocket) -> None:
        """One connection, until either side ends it."""
        await socket.accept()
        if self._open >= _MOST:
            await socket.close(_TOO_MANY)
            return
        self._open += 1
        connection = _Connection(self._store, self._news, socket, self._note)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.listen(), name="websocket bindings")
                group.create_task(connection.send(), name="websocket notices")
        except* (WebSocketDisconnect, TimeoutError, StorageError, _Over, RuntimeError):
            pass
        finally:
            self._open -= 1
            if socket.application_state is not WebSocketState.DISCONNECTED:
                # Its client may be gone by now, which is no failure of ours.
                with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
                    await socket.close(connection.code)


class _Over(Exception):
    """The connection is to be closed."""


class _Connection:
    def __init__(self, store: SubscribingStore, news: News, socket: WebSocket, note: Note) -> None:
        self._note = note
        self._store = store
        self._news = news
        self._socket = socket
        self._bound: dict[str, _Bound] = {}
        self._turn = asyncio.Lock()
        self.code = _GOING

    async def listen(self) -> None:
        """Take what the client says: tokens, nothing else."""
        while True:
            async with asyncio.timeout(None if self._bound else _BIND_S):
                text = await self._said()
            if len(text) > _LONGEST or not text.startswith(_BIND):
                raise self._over()
            ids = await self._store.use_binding(token_hash(text.removeprefix(_BIND).strip()))
            if ids is None or len(self._bound.keys() | set(ids)) > _MOST_BOUND:
                raise self._over()
            async with self._turn:
                for row in await self._store.subscriptions(ids):
                    await self._begin(row)
            if not self._bound:
                raise self._over()

    async def _said(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", _GOING))
        text: str | None = message.get("text")
        if text is None:
            raise self._over(_NOT_TEXT)
        return text

    def _over(self, code: int = _POLICY) -> _Over:
        self.code = code
        return _Over()

    async def _begin(self, row: SubscriptionRow) -> None:
        about = definition_of(row)
        if about is None or row.state is SubscriptionState.OFF or _access(row, about) is None:
            return
        now = time.monotonic()
        self._bound[row.subscription_id] = _Bound(row.generation, row.last_number, now)
        await self._say(notice(row, about, "handshake", total=row.last_number))

    async def send(self) -> None:
        """Send what comes."""
        while True:
            seen, is_owed = self._news.count, False
            async with self._turn:
                if self._bound:
                    is_owed = await self._look()
            if self._news.count == seen and not is_owed:
                await self._news.wait(self._pause_s())

    def _pause_s(self) -> float:
        """Until it is looked without news: a heartbeat comes when it is due."""
        due = min((b.beat_at for b in self._bound.values() if b.beat_at is not None), default=None)
        return _LOOK_S if due is None else min(_LOOK_S, max(_LEAST_S, due - time.monotonic()))

    async def _look(self) -> bool:
        """Send the next notice of each; whether one of them has more."""
        is_owed = False
        rows = {row.subscription_id: row for row in await self._store.subscriptions([*self._bound])}
        for name, bound in list(self._bound.items()):
            row = rows.get(name)
            if row is None or row.state is SubscriptionState.OFF:
                del self._bound[name]
            else:
                is_owed |= await self._serve(row, bound)
        if not self._bound:
            raise _Over
        return is_owed

    async def _serve(self, row: SubscriptionRow, bound: _Bound) -> bool:
        about = definition_of(row)
        bound.beat_at = None
        if row.generation != bound.generation:
            bound.generation, bound.number = row.generation, row.last_number
        access = None if about is None else _access(row, about)
        if about is None or access is None or row.state is not SubscriptionState.ACTIVE:
            return False
        asker = Asker(isolation.on_behalf_of(access), row.subscriber.base)
        if bound.number < row.last_number:
            await self._events(row, about, asker, bound)
        beat_s = about.heartbeat_s
        if beat_s is not None:
            if time.monotonic() - bound.sent_at >= beat_s:
                bound.sent_at = time.monotonic()
                await self._say(notice(row, about, "heartbeat", total=row.last_number))
            bound.beat_at = bound.sent_at + beat_s
        return bound.number < row.last_number

    async def _events(
        self, row: SubscriptionRow, about: Definition, asker: Asker, bound: _Bound
    ) -> None:
        events = await self._store.subscription_events(
            row.subscription_id, first=bound.number + 1, last=row.last_number,
            count=about.max_count,
        )  # fmt: skip
        if not events:
            bound.number = row.last_number
            return
        try:
            found = await told(self._store, asker, events, about.content)
        except FhirError:
            bound.number = events[-1].number
            return
        total = events[-1].number
        await self._say(notice(row, about, "event-notification", total=total, told=found))
        peer = self._socket.client
        record(self._note, row, found, peer.host if peer else "", 200)
        bound.number, bound.sent_at = total, time.monotonic()

    async def _say(self, body: bytes) -> None:
        async with asyncio.timeout(_SEND_S):  # who takes nothing is disconnected
            await self._socket.send_text(body.decode())


def _access(row: SubscriptionRow, about: Definition) -> Access | None:
    """What its subscriber may do at this moment; None: nothing that it needs."""
    access = access_of(row)
    if access is None or any(access.to(about.kind, each) is None for each in needed(about)):
        return None
    return access
