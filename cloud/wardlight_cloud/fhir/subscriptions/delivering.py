"""Delivers notices: whoever leases a subscription does its next thing, and leaves the rest.

What is done is decided anew each time by what the database says then: state, permission, numbers.
A deliverer that dies between sending and noting it leaves a lease that ends; the same events are
then sent again, never left out, and in their order.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.subscriptions import lifecycle
from wardlight_cloud.fhir.subscriptions.definition import TIMEOUT_S, Definition
from wardlight_cloud.fhir.subscriptions.matching import access_of, needed
from wardlight_cloud.fhir.subscriptions.metrics import NOTICES
from wardlight_cloud.fhir.subscriptions.notices import NoticeType, notice
from wardlight_cloud.fhir.subscriptions.ports import SubscribingStore
from wardlight_cloud.fhir.subscriptions.posting import NoticeError, Poster
from wardlight_cloud.fhir.subscriptions.recording import Note, nowhere, record
from wardlight_cloud.fhir.subscriptions.resource import definition_of, show_state
from wardlight_cloud.fhir.subscriptions.seeing import told
from wardlight_cloud.fhir.subscriptions.signals import News
from wardlight_cloud.fhir.subscriptions.signing import secret
from wardlight_cloud.fhir.subscriptions.taking import note_defect
from wardlight_cloud.store.refusals import is_about_values
from wardlight_cloud.store.subscriptions import Settled, SubscriptionRow, SubscriptionState
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 32
LEASE_S: Final = TIMEOUT_S[1] + 30.0
"""Longer than any turn takes."""

_LOOK_S: Final = 15.0
_LEAST_PAUSE_S: Final = 0.05
_AFTER_ERROR_S: Final = 2.0
_GOODBYE_S: Final = 2.0


class Deliverer:
    """Runs until it is cancelled. ``lease_s``: longer than any turn; ``note``: puts on record."""

    def __init__(
        self,
        store: SubscribingStore,
        poster: Poster,
        news: News,
        *,
        lease_s: float = LEASE_S,
        note: Note = nowhere,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._poster = poster
        self._news = news
        self._lease_s = lease_s
        self._note = note
        self._now = now
        self._holder = secrets.token_hex(8)
        self._turns: set[asyncio.Task[None]] = set()
        self._key: bytes | None = None

    async def run(self) -> None:
        """Take what is due, again and again."""
        try:
            while True:
                try:
                    pause_s = await self._step()
                except StorageError as error:
                    _log.warning("subscriptions wait", extra={"error": str(error)})
                    pause_s = _AFTER_ERROR_S
                await self._pause(pause_s)
        finally:
            for turn in self._turns:
                turn.cancel()
            await asyncio.gather(*self._turns, return_exceptions=True)
            with contextlib.suppress(StorageError, TimeoutError):  # else they end by themselves
                async with asyncio.timeout(_GOODBYE_S):
                    await self._store.release_subscriptions(self._holder)

    async def _step(self) -> float:
        """Begin the turns that are due; seconds until there may be more."""
        free = _AT_ONCE - len(self._turns)
        seen = self._news.count
        rows = await self._store.take_subscriptions(
            self._holder, count=free, lease_s=self._lease_s
        ) if free else ()  # fmt: skip
        for row in rows:
            task = asyncio.create_task(self._turn(row), name="subscription turn")
            self._turns.add(task)
            task.add_done_callback(self._ended)
        if free and len(rows) == free:
            return 0.0
        if self._news.count != seen:
            return 0.0
        next_s = await self._store.seconds_to_next() if free else None
        return _LOOK_S if next_s is None else min(_LOOK_S, max(_LEAST_PAUSE_S, next_s))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._turns.discard(task)
        self._news.tell()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a subscription's turn failed", exc_info=error)

    async def _pause(self, pause_s: float) -> None:
        if pause_s:
            await self._news.wait(pause_s)

    async def _turn(self, row: SubscriptionRow) -> None:
        try:
            async with asyncio.timeout(self._lease_s):
                if row.shown != row.state:
                    await show_state(self._store, row)
                settled = await self._done_or_failed(row)
                if not await self._store.settle_subscription(self._holder, row, settled):
                    _log.info("a subscription is another one's by now")
        except (StorageError, TimeoutError) as error:
            # The lease ends by itself.
            _log.warning("a notice is not noted", extra={"error": str(error) or "no time left"})

    async def _done_or_failed(self, row: SubscriptionRow) -> Settled:
        try:
            return await self._done(row)
        except Exception as error:
            if isinstance(error, TimeoutError) or (
                isinstance(error, StorageError) and not is_about_values(error)
            ):
                raise
            note_defect(error, row.subscription_id)
            return lifecycle.failed(row, lifecycle.FAILED, self._now())

    async def _done(self, row: SubscriptionRow) -> Settled:
        """Do the next thing; what it leads to."""
        if row.state is SubscriptionState.OFF:
            return lifecycle.stopped(row, row.reason)
        about = definition_of(row)
        if about is None:
            return lifecycle.stopped(row, lifecycle.UNREADABLE)
        if row.ends_at is not None and row.ends_at <= self._now():
            return lifecycle.stopped(row, lifecycle.ENDED)
        access = access_of(row)
        if access is None or any(access.to(about.kind, each) is None for each in needed(about)):
            return lifecycle.stopped(row, lifecycle.NOT_PERMITTED)
        if not about.endpoint:  # whoever has the websocket sends
            return lifecycle.arrived(row, row.last_number, None)
        asker = Asker(isolation.on_behalf_of(access), row.subscriber.base)
        try:
            upto = await self._send(row, about, asker)
        except NoticeError as error:
            NOTICES.labels("failed").inc()
            return lifecycle.failed(row, str(error), self._now())
        except FhirError:
            return lifecycle.stopped(row, lifecycle.NOT_PERMITTED)
        return lifecycle.arrived(row, upto, about.heartbeat_s)

    async def _send(self, row: SubscriptionRow, about: Definition, asker: Asker) -> int:
        """Send what is owed; up to which number events have arrived then."""
        if row.state is SubscriptionState.REQUESTED:
            await self._post(row, about, notice(row, about, "handshake", total=row.last_number))
            return row.sent_number
        first = row.sent_number + 1
        events = await self._store.subscription_events(
            row.subscription_id, first=first, last=row.last_number, count=about.max_count
        )
        if not events:
            # Nothing new, or all of it is older than events are kept: the numbers tell of the gap.
            kind: NoticeType = "heartbeat"
            if about.heartbeat_s is not None or row.last_number > row.sent_number or row.attempts:
                await self._post(row, about, notice(row, about, kind, total=row.last_number))
            return row.last_number
        found = await told(self._store, asker, events, about.content)
        total = events[-1].number
        body = notice(row, about, "event-notification", total=total, told=found)
        host = urlsplit(about.endpoint).hostname or ""
        try:
            await self._post(row, about, body)
        except NoticeError as error:
            if error.status is not None:  # it was sent, and perhaps read
                record(self._note, row, found, host, error.status)
            raise
        record(self._note, row, found, host, 200)
        return total

    async def _post(self, row: SubscriptionRow, about: Definition, body: bytes) -> None:
        if self._key is None:
            self._key = await self._store.subscription_key()
        begun = time.perf_counter()
        await self._poster.post(
            about, secret(self._key, row.subscription_id, row.secret_turn), body
        )
        NOTICES.labels("taken").inc()
        _log.debug("notice taken", extra={"seconds": round(time.perf_counter() - begun, 3)})


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
