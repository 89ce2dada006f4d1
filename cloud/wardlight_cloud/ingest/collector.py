"""The collector: broker messages in, committed rows and acknowledgements out.

    broker -> intake -> grouping -> (one group ahead) -> settling -> acks
           -> conversation (hellos, states)              leases say for which shards
           -> image desk (blobs, worklists)

What comes up is committed and acknowledged, or neither. Collectors share the shards by leases; one
that dies is replaced when its leases have ended.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.ingest.acks import acks
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.conversation import Conversation
from wardlight_cloud.ingest.grouping import Grouping, Prepared
from wardlight_cloud.ingest.image_desk import ImageDesk, Imaging
from wardlight_cloud.ingest.intake import Intake
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.link import BrokerLink
from wardlight_cloud.ingest.metrics import (
    ACKS,
    MESSAGES,
    OLDEST_SECONDS,
    QUEUE_DEPTH,
    RECORDS_KNOWN,
    RECORDS_REJECTED,
    REFUSED,
    ROWS,
)
from wardlight_cloud.ingest.mqtt import Message
from wardlight_cloud.ingest.notices import Notices
from wardlight_cloud.ingest.pipeline import seqs_of
from wardlight_cloud.ingest.ports import CollectorStore
from wardlight_cloud.ingest.settling import Settled, Settling
from wardlight_cloud.store.batch import LedgerState
from wardlight_shared import control, topics
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.timestamps import utc_ms_from_datetime
from wardlight_shared.topics import Down, shard_filters

_log = logging.getLogger(__name__)
_LAST_GROUP_S: Final = 10.0  # a graceful stop waits this long for the transaction under way
_GAUGES_EVERY_S: Final = 1.0
_BEYOND_STATEMENT_S: Final = 5.0  # a store's own limit comes first


def utc_ms_now() -> int:
    """The collector's clock."""
    return utc_ms_from_datetime(datetime.now(UTC))


class Collector:
    """One collector process; ``run`` it until told to stop."""

    def __init__(
        self,
        settings: Settings,
        store: CollectorStore,
        utc_ms: Callable[[], int] = utc_ms_now,
        imaging: Imaging | None = None,
    ) -> None:
        timeout_s = settings.database.command_timeout_s + _BEYOND_STATEMENT_S
        name = settings.collector.name
        self._utc_ms = utc_ms
        self._intake = Intake(settings.collector.queue_max)
        self._link = BrokerLink(settings.broker, name, self._take_in)
        self._leases = Leases(store, name, settings.collector.lease_ttl_s)
        admission = Admission(store)
        self._notices = Notices(store, self._link.publish, self._leases, timeout_s)
        self._conversation = Conversation(
            store, self._link.publish, self._leases, admission, self._notices, utc_ms, timeout_s
        )
        self._grouping = Grouping(
            settings.collector, self._intake, self._leases, admission, utc_ms, self._link.resume
        )
        self._settling = Settling(store, timeout_s, utc_ms)
        self._images = (
            None
            if imaging is None
            else ImageDesk(imaging, self._link.publish, self._leases, admission, timeout_s)
        )
        self._ready: asyncio.Queue[list[Prepared] | None] = asyncio.Queue(maxsize=1)

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop`` is set; then finish the transaction under way and its acks.

        Raises an ExceptionGroup when a part of the collector has a defect: start it again.
        """
        try:
            async with self._link, asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._link.ended(), name="link"),
                    group.create_task(self._leases.keep(self._hold), name="leases"),
                    group.create_task(self._conversation.answer(), name="conversation"),
                    group.create_task(self._notices.watch(), name="watching"),
                    group.create_task(self._notices.release(), name="releases"),
                    group.create_task(self._prepare(), name="preparing"),
                    group.create_task(self._sample(), name="gauges"),
                ]
                if self._images is not None:
                    beside.append(group.create_task(self._images.run(), name="images"))
                storing = group.create_task(self._store(), name="storing")
                await stop.wait()
                for task in beside:
                    task.cancel()
                await self._finish(storing)
        finally:
            await self._leases.give_up()

    async def _finish(self, storing: asyncio.Task[None]) -> None:
        self._link.hold(())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_GROUP_S):
                await self._ready.put(None)
                await storing
        await self._link.flush()

    def _take_in(self, message: Message) -> bool:
        try:
            topic = topics.parse(message.topic)
        except EnvelopeError:
            REFUSED.labels("topic").inc()
            return True
        if topic.lane is not None:
            return self._intake.offer(topic, topic.lane, message.payload)
        if topic.is_hello:
            MESSAGES.labels("hello").inc()
            self._conversation.hear_hello(topic, message.payload)
        elif topic.is_blob:
            if self._images is not None:
                self._images.hear(topic, message.payload)
        elif topic.is_state:
            MESSAGES.labels("state").inc()
            self._conversation.hear_state(topic, message.payload, retained=message.retained)
        return True

    def _hold(self, shards: frozenset[int]) -> None:
        self._link.hold(text for shard in shards for text in shard_filters(shard))

    async def _prepare(self) -> None:
        while True:
            await self._ready.put(await self._grouping.next_group())

    async def _store(self) -> None:
        while (group := await self._ready.get()) is not None:
            settled = await self._settling.settle(group)
            _count(settled)
            self._acknowledge(settled)

    def _acknowledge(self, settled: Sequence[Settled]) -> None:
        """One ack per gateway and epoch: the newest state tells all."""
        told: dict[tuple[str, int], tuple[LedgerState, list[int]]] = {}
        for prepared, result in settled:
            if prepared.message is not None and self._leases.holds(prepared.shard):
                key = prepared.batch.gateway, prepared.batch.epoch
                seqs = told[key][1] if key in told else []
                told[key] = result.ledger, seqs + seqs_of(prepared.batch)
        for state, seqs in told.values():
            self._notices.expect_release(state)
            topic = topics.down(state.gateway, Down.ACK)
            for ack in acks(state, min(seqs), max(seqs), self._utc_ms()):
                ACKS.inc()
                self._link.publish(topic, control.encode(ack))

    async def _sample(self) -> None:
        while True:
            QUEUE_DEPTH.set(len(self._intake))
            OLDEST_SECONDS.set(self._intake.oldest_s)
            await asyncio.sleep(_GAUGES_EVERY_S)


def _count(settled: Sequence[Settled]) -> None:
    for prepared, result in settled:
        ROWS.labels("stored").inc(result.rows_stored)
        ROWS.labels("known").inc(result.rows_known)
        ROWS.labels("quarantined").inc(result.rows_quarantined)
        RECORDS_KNOWN.inc(result.records_known)
        RECORDS_REJECTED.inc(len(prepared.batch.rejected))
