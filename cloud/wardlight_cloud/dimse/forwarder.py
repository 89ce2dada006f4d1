"""Forwards what the rules say, with the state in the database.

Rules become items as commits appear; items of one target are taken in groups, and each has its own
result. Targets are independent: each has a group of its own under way, so one that does not answer
holds up nobody else, and is asked less and less often. What is under way stays leased; a process
that dies leaves its items leased, and they are due again. The same instance may arrive twice after
that, never not at all.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from wardlight_cloud.dimse.delivering import Delivered, Delivery, Outcome
from wardlight_cloud.dimse.entity import Entity
from wardlight_cloud.dimse.metrics import DEAD, FORWARDED, WAITING
from wardlight_cloud.dimse.nodes import Nodes
from wardlight_cloud.dimse.resting import Resting
from wardlight_cloud.dimse.sending import Sender
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.forwarding import ForwardingStore, ForwardItem, ForwardTarget
from wardlight_cloud.store.imaging import ImageStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_STUDIES_AT_ONCE: Final = 50
_ITEMS_AT_ONCE: Final = 50
_TARGETS_AT_ONCE: Final = 16  # a thread each
_LEASE_S: Final = 120.0  # renewed while a group is under way
_LOOK_S: Final = 2.0
_AFTER_ERROR_S: Final = 5.0
_FIRST_PAUSE_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 3600.0


class Forwarder:
    """Runs until it is cancelled."""

    def __init__(
        self,
        forwarding: ForwardingStore,
        images: ImageStore,
        entity: Entity,
        nodes: Nodes,
        sender: Sender,
        reads: ReadLog,
        *,
        lease_s: float = _LEASE_S,
    ) -> None:
        self._forwarding = forwarding
        self._images = images
        self._delivery = Delivery(entity, nodes, sender, reads)
        self._lease_s = lease_s
        self._busy: set[ForwardTarget] = set()
        self._resting = Resting()
        self._group_ended = asyncio.Event()
        self._counted_at = float("-inf")

    async def run(self, *, look_s: float = _LOOK_S) -> None:
        """Look for work, again and again; no target is waited for here."""
        threads = ThreadPoolExecutor(_TARGETS_AT_ONCE, thread_name_prefix="forwarding")
        try:
            async with asyncio.TaskGroup() as groups:
                while True:
                    self._group_ended.clear()
                    try:
                        is_more = await self._forwarding.forward_new(studies=_STUDIES_AT_ONCE)
                        await self._begin(groups, threads)
                        await self._count(look_s)
                        wait_s = 0.0 if is_more else look_s
                    except StorageError as error:
                        _log.warning("forwarding waits", extra={"error": str(error)})
                        wait_s = _AFTER_ERROR_S
                    with contextlib.suppress(TimeoutError):
                        # wait_for of Python 3.11 loses a cancellation that meets the event.
                        async with asyncio.timeout(wait_s):
                            await self._group_ended.wait()
        finally:
            self._delivery.end()
            threads.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, groups: asyncio.TaskGroup, threads: ThreadPoolExecutor) -> None:
        """A group for each target that something is due for, and that is free."""
        clock = asyncio.get_running_loop().time
        while len(self._busy) < _TARGETS_AT_ONCE:
            items = await self._forwarding.take_items(
                count=_ITEMS_AT_ONCE,
                lease_s=self._lease_s,
                but_for=(*self._busy, *self._resting.now(clock())),
            )
            if not items:
                return
            target = ForwardTarget(items[0].target.ae_title, items[0].target.url)
            self._busy.add(target)
            groups.create_task(self._group(target, items, threads), name="forwarding")

    async def _group(
        self, target: ForwardTarget, items: Sequence[ForwardItem], threads: ThreadPoolExecutor
    ) -> None:
        leased = asyncio.create_task(self._leased(items), name="lease of a group")
        try:
            delivered = await self._sent(items, threads)
            leased.cancel()  # and over: it would undo the pauses after failures
            await asyncio.wait([leased])
            if delivered.is_target_away:
                self._resting.failed(target, asyncio.get_running_loop().time())
            else:
                self._resting.answered(target)
            await self._settle(delivered.outcomes)
        except StorageError as error:
            _log.warning("a group is sent again", extra={"error": str(error)})
        except Exception as error:  # noqa: BLE001 - one target is no reason to leave the others
            # No text of the error: it may hold values.
            self._resting.failed(target, asyncio.get_running_loop().time())
            about = {"rule": items[0].rule, "error": type(error).__name__}
            _log.error("a group could not be forwarded", extra=about)
        finally:
            leased.cancel()
            self._busy.discard(target)
            self._group_ended.set()

    async def _leased(self, items: Sequence[ForwardItem]) -> None:
        """No other process takes what is under way here, however long the target takes."""
        item_ids = [item.item_id for item in items]
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await self._forwarding.renew_items(item_ids, lease_s=self._lease_s)
            except StorageError as error:
                _log.warning("a lease was not renewed", extra={"error": str(error)})

    async def _sent(self, items: Sequence[ForwardItem], threads: ThreadPoolExecutor) -> Delivered:
        found, gone = [], []
        for item in items:
            ref = await self._images.instance(item.sop_uid)
            if ref is None or ref.sha256 != item.sha256:
                gone.append(Outcome(item, "it is not stored any more", is_final=True))
            else:
                found.append((item, ref))
        if not found:
            return Delivered(gone)
        loop = asyncio.get_running_loop()
        delivered = await loop.run_in_executor(threads, self._delivery.deliver, found)
        return Delivered(gone + delivered.outcomes, delivered.is_target_away)

    async def _settle(self, outcomes: Sequence[Outcome]) -> None:
        arrived = [each.item.item_id for each in outcomes if each.reason is None]
        FORWARDED.labels("sent").inc(len(arrived))
        if arrived:
            await self._forwarding.settle_sent(arrived)
        untried: dict[str, list[int]] = {}
        for each in outcomes:
            if each.reason is None:
                continue
            if not each.was_tried:
                untried.setdefault(each.reason, []).append(each.item.item_id)
                continue
            FORWARDED.labels("failed").inc()
            again_in_s = None if each.is_final else pause_s(each.item.attempts)
            await self._forwarding.settle_failed(
                [each.item.item_id], each.reason, again_in_s=again_in_s
            )
        for reason, item_ids in untried.items():
            # Due at once: the target rests, and what failed lets these go first.
            await self._forwarding.settle_failed(item_ids, reason, again_in_s=0.0, was_tried=False)
        failed = {each.reason for each in outcomes} - {None}
        if failed:
            about = {"rule": outcomes[0].item.rule, "reasons": sorted(map(str, failed))[:3]}
            _log.warning("not all was forwarded", extra=about)

    async def _count(self, look_s: float) -> None:
        """What waits and what is dead, for the metrics; not with every group."""
        now = asyncio.get_running_loop().time()
        if now - self._counted_at < look_s:
            return
        self._counted_at = now
        statuses = await self._forwarding.forward_status()
        WAITING.set(sum(each.waiting for each in statuses))
        DEAD.set(sum(each.dead for each in statuses))


def pause_s(attempts: int) -> float:
    """Pause after this many attempts: doubled each time, an hour at most."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 16))
