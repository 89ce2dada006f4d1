"""One database listener per API worker, many subscribers.

A subscriber holds only the newest unsent row of each series, so a slow browser gets fewer
updates, never old ones, and memory stays bounded by the number of series.

A delivery reads what changed since the one before, for the patients somebody listens to. Whoever
subscribes joins first and reads all of its own rows then, so nothing falls between the two; each
subscriber knows for itself what it has, and is told nothing twice.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from time import monotonic
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from wardlight_cloud.store.base import LatestRow, ReadStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_RETRY_S: Final = 1.0
_PAUSE_S: Final = 0.1  # commits closer together than this share one delivery
_MOST: Final = 500  # subscribers of one worker
_LONGEST_ABSENCE: Final = 5000  # commits; who missed more gets everything anew


class TooManySubscribers(Exception):
    """This worker serves as many live connections as it may."""


class Subscription:
    """Rows for one browser. ``patient`` None = all patients."""

    def __init__(self, patient: UUID | None) -> None:
        self.patient = patient
        self._rows: dict[int, LatestRow] = {}
        self._known: dict[int, tuple[int, UUID]] = {}  # series -> commit and patient of its row
        self._wake = asyncio.Event()

    def offer(self, rows: tuple[LatestRow, ...]) -> None:
        """Keep the newest row of each series that concerns this subscriber.

        Rows may be offered again and out of order: a row that it has, or an older one, is left.
        """
        for row in rows:
            if self.patient in (None, row.patient_id) and self._is_news(row):
                self._known[row.series_id] = (row.commit_seq, row.patient_id)
                self._rows[row.series_id] = row
        if self._rows:
            self._wake.set()

    def _is_news(self, row: LatestRow) -> bool:
        commit_seq, patient = self._known.get(row.series_id, (-1, row.patient_id))
        # The same reading under another patient: the device was assigned anew.
        return row.commit_seq > commit_seq or (
            row.commit_seq == commit_seq and row.patient_id != patient
        )

    def wake(self) -> None:
        """Let ``next`` return at once, with rows or without."""
        self._wake.set()

    async def next(self, timeout_s: float) -> tuple[LatestRow, ...]:
        """Unsent rows, oldest commit first; () after ``timeout_s`` without any."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        self._wake.clear()
        rows, self._rows = self._rows, {}
        return tuple(sorted(rows.values(), key=lambda row: row.commit_seq))


class LiveHub:
    """``async with LiveHub(store) as hub: async with hub.subscribe(patient) as subscription``."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self._subscriptions: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._away_since: float | None = None  # monotonic; None = the database was there

    @property
    def is_listening(self) -> bool:
        """Commits are heard; False while the database is away."""
        return self._listening.is_set()

    async def is_up(self, timeout_s: float) -> bool:
        """Whether commits are heard, or will be within ``timeout_s``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._listening.wait()
        return self.is_listening

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="live-hub")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @contextlib.asynccontextmanager
    async def subscribe(
        self, patient: UUID | None, *, since: int | None = None
    ) -> AsyncIterator[Subscription]:
        """A subscription that starts with the newest rows of now.

        ``since``: with those that changed after this commit, for who has the others; a commit of
        long ago or of another database counts as none. Raises TooManySubscribers.
        """
        if self.is_full:
            raise TooManySubscribers
        subscription = Subscription(patient)
        self._subscriptions.add(subscription)
        try:
            if since is not None:
                missed = await self._store.commit_seq() - since
                since = since if 0 <= missed <= _LONGEST_ABSENCE else None
            patients = None if patient is None else (patient,)
            subscription.offer(await self._store.latest(patients, since=since))
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @property
    def is_full(self) -> bool:
        """No further subscriber is taken."""
        return len(self._subscriptions) >= _MOST

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except StorageError as error:
                if self._away_since is None:  # said once, not at every try
                    self._away_since = monotonic()
                    _log.warning(
                        "live feed lost the database; trying again", extra={"error": str(error)}
                    )
            except Exception:  # noqa: BLE001 - supervisor: a dead hub would look like silence
                _log.exception("live feed failed; starting it again")
            finally:
                self._listening.clear()
                for subscription in self._subscriptions:
                    subscription.wake()
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        async with self._store.changes() as changes:
            # Whatever came while we were not listening is caught up first.
            seen = await self._store.commit_seq()
            await self._deliver(None)
            self._listening.set()
            if self._away_since is not None:
                away_s = round(monotonic() - self._away_since, 1)
                _log.info("live feed has the database again", extra={"away_s": away_s})
                self._away_since = None
            async for change in changes:
                await self._deliver(seen)
                # Visible before it was read; what came meanwhile is read again next time.
                seen = change.commit_seq
                await asyncio.sleep(_PAUSE_S)

    async def _deliver(self, since: int | None) -> None:
        wanted = _patients(self._subscriptions)
        if wanted is not None and not wanted:
            return
        patients = None if wanted is None else tuple(wanted)
        rows = await self._store.latest(patients, since=since)
        for subscription in self._subscriptions:
            subscription.offer(rows)


def _patients(subscriptions: set[Subscription]) -> set[UUID] | None:
    """Patients somebody listens to; None = all of them."""
    patients: set[UUID] = set()
    for subscription in subscriptions:
        if subscription.patient is None:
            return None
        patients.add(subscription.patient)
    return patients
