"""Makes the next group of batches while the database works on the one before."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from wardlight_cloud.config import CollectorSettings
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.batches import MAX_BATCH_ROWS
from wardlight_cloud.ingest.intake import Arrival, Intake
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.metrics import REFUSED, UNREADABLE
from wardlight_cloud.ingest.pipeline import dead_letter, open_message
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.errors import EnvelopeError, VersionError

_log = logging.getLogger(__name__)
_LETTERS_PER_HOUR: Final = 20  # of unreadable messages, per gateway; more are only counted


class Prepared(NamedTuple):
    """A batch and the message it was opened from.

    message         None: nobody can read it; the batch is its dead letter and earns no ack
    is_last_resort  the batch holds the records as dead letters, because their values were refused
    """

    batch: IngestBatch
    message: bytes | None
    shard: int
    is_last_resort: bool = False


class Grouping:
    """Takes envelopes from the intake and opens them, bounded by envelopes, rows and time."""

    def __init__(
        self,
        settings: CollectorSettings,
        intake: Intake,
        leases: Leases,
        admission: Admission,
        utc_ms: Callable[[], int],
        room: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._leases = leases
        self._admission = admission
        self._utc_ms = utc_ms
        self._room = room
        self._live: Iterator[Prepared] = iter(())
        self._rest: Iterator[Prepared] = iter(())
        self._is_cut = False  # the rest is of a message that was too large for one group
        self._clock = clock
        self._letters = _HourlyBudget(_LETTERS_PER_HOUR, clock)
        self._warnings = _HourlyBudget(1, clock)

    async def next_group(self) -> list[Prepared]:
        """The next batches to commit together; waits until there is one. Cancelling loses none."""
        group: list[Prepared] = []
        while not group:
            rows = await self._add_live(group)
            rows = self._add(group, rows)  # what a large message left over
            if not group:
                await self._intake.wait()
            await self._fill(group, rows)
        return group

    async def _add_live(self, group: list[Prepared]) -> int:
        """Before what a large message left over: alarm and live, in about half of the rows.

        One message of backlog can hold rows for many groups; live readings do not wait for them,
        and it goes on in every group.
        """
        rows = 0
        while rows < MAX_BATCH_ROWS // 2 and len(group) < self._settings.group_max:
            prepared = next(self._live, None)
            if prepared is not None:
                group.append(prepared)
                rows += len(prepared.batch.readings)
            elif self._is_cut and (arrival := self._intake.take_live()) is not None:
                self._room()
                if await self._is_welcome(arrival):
                    self._live = self._opened(arrival)
            else:
                break
        return rows

    async def _fill(self, group: list[Prepared], rows: int) -> None:
        linger_until_s = self._clock() + self._settings.group_linger_ms / 1000
        for _ in range(self._settings.group_max - len(group)):
            if rows >= MAX_BATCH_ROWS:
                return
            arrival = self._intake.take() or await self._next_arrival(linger_until_s)
            if arrival is None:
                return
            self._room()
            if await self._is_welcome(arrival):
                self._rest = self._opened(arrival)
                rows = self._add(group, rows)

    async def _next_arrival(self, until_s: float) -> Arrival | None:
        try:
            async with asyncio.timeout(max(0.0, until_s - self._clock())):
                await self._intake.wait()
        except TimeoutError:
            return None
        return self._intake.take()

    async def _is_welcome(self, arrival: Arrival) -> bool:
        topic = arrival.topic
        if not await self._admission.allows(topic.gateway):
            REFUSED.labels("gateway").inc()
        elif not self._leases.holds(topic.shard):
            REFUSED.labels("lease").inc()
        else:
            return True
        return False

    def _add(self, group: list[Prepared], rows: int) -> int:
        self._is_cut = False
        for prepared in self._rest:
            group.append(prepared)
            rows += len(prepared.batch.readings)
            if rows >= MAX_BATCH_ROWS:
                self._is_cut = True
                break
        return rows

    def _opened(self, arrival: Arrival) -> Iterator[Prepared]:
        gateway, shard, message = arrival.topic.gateway, arrival.topic.shard, arrival.payload
        try:
            for batch in open_message(gateway, message, self._utc_ms()):
                yield Prepared(batch, message, shard)
        except VersionError as error:
            REFUSED.labels("version").inc()
            if self._warnings.spend(gateway):
                _log.warning("newer version kept", extra={"gateway": gateway, "error": str(error)})
        except EnvelopeError as error:
            yield from self._unreadable(arrival, str(error))
        except Exception as error:  # noqa: BLE001 - bytes that find a defect of ours end like any bad bytes
            name = type(error).__name__
            _log.error("message not opened", extra={"gateway": gateway, "error": name})
            yield from self._unreadable(arrival, f"not opened: {name}")

    def _unreadable(self, arrival: Arrival, reason: str) -> Iterator[Prepared]:
        UNREADABLE.inc()
        topic = arrival.topic
        if self._letters.spend(topic.gateway):
            _log.warning(
                "unreadable message kept aside",
                extra={"gateway": topic.gateway, "bytes": len(arrival.payload), "reason": reason},
            )
            yield Prepared(dead_letter(topic.gateway, arrival.payload, reason), None, topic.shard)


class _HourlyBudget:
    """So much per gateway and hour, so that one cannot fill the disk or the log."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._hour = 0
        self._spent: Counter[str] = Counter()

    def spend(self, key: str) -> bool:
        """Count one; False when this hour's budget is used up."""
        hour = int(self._clock() // 3600)
        if hour != self._hour:
            self._hour = hour
            self._spent.clear()
        self._spent[key] += 1
        return self._spent[key] <= self._most
