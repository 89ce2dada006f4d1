"""One database listener per API worker, many subscribers.

A subscriber holds only the newest unsent row of each series, so a slow browser gets fewer
updates, never old ones, and memory stays bounded by the number of series.

Each subscriber knows for itself what it has: the patients asked for change between deliveries, so
no commit sequence of the hub could say what a subscriber has seen.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from wardlight_cloud.store.base import LatestRow, ReadStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_RETRY_S: Final = 1.0
_PAUSE_S: Final = 0.1  # commits closer together than this share one delivery


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
    async def subscribe(self, patient: UUID | None) -> AsyncIterator[Subscription]:
        """A subscription that starts with the newest rows of now."""
        subscription = Subscription(patient)
        self._subscriptions.add(subscription)
        try:
            subscription.offer(await self._store.latest(None if patient is None else (patient,)))
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except StorageError:
                if self.is_listening:  # said once, not at every try
                    _log.warning("live feed lost the database; trying again")
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
            await self._deliver()
            self._listening.set()
            async for _ in changes:
                await self._deliver()
                await asyncio.sleep(_PAUSE_S)

    async def _deliver(self) -> None:
        wanted = _patients(self._subscriptions)
        if wanted is not None and not wanted:
            return
        rows = await self._store.latest(None if wanted is None else tuple(wanted))
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
