"""Work beside ingest: rollups, coming partitions, retention of event ids. One leader for each.

Leadership is taken anew for each turn: a leader that hangs or loses its connection is replaced, and
no turn is longer than one short piece of work. Jobs of other parts (image_upkeep.py) run beside.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.store.maintenance import MaintenanceStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_ROLLUP_BUCKETS: Final = 2000
_ROLLUP_PAUSE_S: Final = 1.0
_PARTITION_PAUSE_S: Final = 3600.0
_DAYS_AHEAD: Final = 7
_RETENTION_PAUSE_S: Final = 6 * 3600.0
_LONGEST_RETRY_S: Final = 60.0
_TURN_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work. A turn returns True when there is more to do at once."""

    name: str
    pause_s: float
    turn: Callable[[], Awaitable[bool]]
    turn_s: float = _TURN_S


class Maintenance:
    """Runs the jobs for ever, each beside the others."""

    def __init__(
        self,
        store: MaintenanceStore,
        *,
        event_id_days: int,
        more: Sequence[Job] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._event_id_days = event_id_days
        self._more = more
        self._now = now

    async def run(self) -> None:
        """Work until cancelled; a database that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            for job in self.jobs():
                group.create_task(self._repeat(job), name=f"maintenance {job.name}")

    def jobs(self) -> tuple[Job, ...]:
        """All jobs."""
        return (
            Job("rollups", _ROLLUP_PAUSE_S, self._refresh_rollups),
            Job("partitions", _PARTITION_PAUSE_S, self._prepare_partitions),
            Job("event-ids", _RETENTION_PAUSE_S, self._forget_event_ids),
            *self._more,
        )

    async def _repeat(self, job: Job) -> None:
        backoff = Backoff(0.5, _LONGEST_RETRY_S)
        while True:
            try:
                async with asyncio.timeout(job.turn_s):
                    pause_s = 0.0 if await self._lead(job) else job.pause_s
                if backoff.failures:
                    _log.info("done again", extra={"job": job.name, "failures": backoff.failures})
                backoff.succeeded()
            except (StorageError, TimeoutError) as error:
                _log.warning("not done", extra={"job": job.name, "error": str(error)})
                pause_s = backoff.failed()
            except Exception as error:  # noqa: BLE001 - supervisor: ingest runs beside, and goes on
                # What is raised beside StorageError may quote values, so its name must do.
                _log.error("not done", extra={"job": job.name, "error": type(error).__name__})
                pause_s = backoff.failed()
            await asyncio.sleep(pause_s)

    async def _lead(self, job: Job) -> bool:
        async with self._store.leadership(job.name) as leads:
            return leads and await job.turn()

    async def _refresh_rollups(self) -> bool:
        return await self._store.refresh_rollups(limit=_ROLLUP_BUCKETS) >= _ROLLUP_BUCKETS

    async def _prepare_partitions(self) -> bool:
        await self._store.prepare_partitions(days_ahead=_DAYS_AHEAD)
        return False

    async def _forget_event_ids(self) -> bool:
        older_than = self._now() - timedelta(days=self._event_id_days)
        forgotten = await self._store.forget_event_ids(older_than=older_than)
        if forgotten:
            _log.info("event ids forgotten", extra={"count": forgotten})
        return False
