"""Sends what the rules say: C-STORE SCU and STOW-RS client, with the state in the database.

Rules become items as commits appear; items of one rule are taken in groups, and each has its own
result. A process that dies leaves them leased: they are due again. The same instance may arrive
twice after that, never not at all.
"""

import asyncio
import http.client
import logging
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pynetdicom.association import Association

from wardlight_cloud.dimse.callers import receiver_at
from wardlight_cloud.dimse.entity import Entity, contexts_for
from wardlight_cloud.dimse.metrics import DEAD, FORWARDED, WAITING
from wardlight_cloud.dimse.nodes import Nodes
from wardlight_cloud.dimse.sending import Carried, Sender, reason_of
from wardlight_cloud.dimse.stow import StowClient, StowRefusedError
from wardlight_cloud.dimse.transcoding import TranscodingError
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.forwarding import ForwardingStore, ForwardItem
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageStore, InstanceRef
from wardlight_shared.errors import ConfigError, StorageError, WardlightError

_log = logging.getLogger(__name__)
_STUDIES_AT_ONCE: Final = 50
_ITEMS_AT_ONCE: Final = 50
_LEASE_S: Final = 120.0  # longer than a group takes; twice is harmless
_LOOK_S: Final = 2.0
_AFTER_ERROR_S: Final = 5.0
_FIRST_PAUSE_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 3600.0
_SUCCESS: Final = 0x0000
_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})  # PS3.4 B.2.3: stored, something changed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item; ``reason`` None: it has arrived."""

    item: ForwardItem
    reason: str | None = None
    is_final: bool = False


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
    ) -> None:
        self._reads = reads
        self._forwarding = forwarding
        self._images = images
        self._entity = entity
        self._nodes = nodes
        self._sender = sender

    async def run(self, *, look_s: float = _LOOK_S) -> None:
        """Look for work, again and again."""
        while True:
            try:
                while await self.step():
                    pass
                await self._count()
                pause_s = look_s
            except StorageError as error:
                _log.warning("forwarding waits", extra={"error": str(error)})
                pause_s = _AFTER_ERROR_S
            await asyncio.sleep(pause_s)

    async def step(self) -> bool:
        """Expand rules and send one group; True when there may be more to do at once."""
        is_more = await self._forwarding.forward_new(studies=_STUDIES_AT_ONCE)
        items = await self._forwarding.take_items(count=_ITEMS_AT_ONCE, lease_s=_LEASE_S)
        if items:
            await self._settle(await self._sent(items))
        return is_more or bool(items)

    async def _sent(self, items: Sequence[ForwardItem]) -> list[Outcome]:
        found, outcomes = [], []
        for item in items:
            ref = await self._images.instance(item.sop_uid)
            if ref is None or ref.sha256 != item.sha256:
                outcomes.append(Outcome(item, "it is not stored any more", is_final=True))
            else:
                found.append((item, ref))
        if found:
            send = self._by_store if items[0].target.ae_title is not None else self._by_stow
            outcomes += await asyncio.to_thread(send, found)
        return outcomes

    async def _settle(self, outcomes: Sequence[Outcome]) -> None:
        arrived = [each.item.item_id for each in outcomes if each.reason is None]
        FORWARDED.labels("sent").inc(len(arrived))
        if arrived:
            await self._forwarding.settle_sent(arrived)
        for each in outcomes:
            if each.reason is not None:
                FORWARDED.labels("failed").inc()
                again_in_s = None if each.is_final else pause_s(each.item.attempts)
                await self._forwarding.settle_failed(
                    [each.item.item_id], each.reason, again_in_s=again_in_s
                )
        failed = {each.reason for each in outcomes} - {None}
        if failed:
            about = {"rule": outcomes[0].item.rule, "reasons": sorted(map(str, failed))[:3]}
            _log.warning("not all was forwarded", extra=about)

    async def _count(self) -> None:
        statuses = await self._forwarding.forward_status()
        WAITING.set(sum(each.waiting for each in statuses))
        DEAD.set(sum(each.dead for each in statuses))

    # -- in a thread

    def _by_store(self, found: Sequence[tuple[ForwardItem, InstanceRef]]) -> list[Outcome]:
        ae_title = str(found[0][0].target.ae_title)
        node = self._nodes.node(ae_title)
        if node is None or node.port is None:
            return _all_failed(found, f"the node {ae_title} is not on the list or has no port")
        try:
            assoc = self._entity.associated(
                node, contexts_for(ref for _, ref in found), prepare=self._sender.carry
            )
        except (ConfigError, ValueError, OSError) as error:
            return _all_failed(found, reason_of(error))
        if not assoc.is_established:
            why = "refused the association" if assoc.is_rejected else "does not answer"
            return _all_failed(found, f"{ae_title} {why}")
        try:
            return self._noted(
                receiver_at(node), [self._stored(assoc, item, ref) for item, ref in found]
            )
        finally:
            if assoc.is_established:
                assoc.release()

    def _stored(self, assoc: Association, item: ForwardItem, ref: InstanceRef) -> Outcome:
        if not assoc.is_established:
            return Outcome(item, "the association ended")
        try:
            status = assoc.send_c_store(Carried(ref)).get("Status")
        except (WardlightError, OSError, ValueError, RuntimeError, queue.Full) as error:
            return Outcome(item, reason_of(error), isinstance(error, TranscodingError))
        if status is None:
            return Outcome(item, "the association ended")
        if status == _SUCCESS or status in _WARNINGS:
            return Outcome(item)
        return Outcome(item, f"status {status:#06x}")

    def _by_stow(self, found: Sequence[tuple[ForwardItem, InstanceRef]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            with StowClient(
                found[0][0].target, timeout_s=self._entity.network_timeout or 60.0
            ) as c:
                for item, ref in found:
                    outcomes.append(self._posted(c, item, ref))
        except ConfigError as error:
            return _all_failed(found, str(error))
        host = urlsplit(found[0][0].target.url or "").hostname or ""
        return self._noted(Reader("node", f"STOW@{host}"), outcomes)

    def _noted(self, receiver: Reader, outcomes: list[Outcome]) -> list[Outcome]:
        """The same; who got what is on record as given out by DICOM, by STOW-RS too."""
        for each in outcomes:
            if each.reason is None:
                self._reads.note(receiver, each.item.study_uid, "dimse")
        return outcomes

    def _posted(self, client: StowClient, item: ForwardItem, ref: InstanceRef) -> Outcome:
        try:
            with self._sender.stored(ref) as file:
                client.store(file, ref.sop_uid)
        except StowRefusedError as error:
            return Outcome(item, str(error), error.is_final)
        except (WardlightError, OSError, http.client.HTTPException) as error:
            client.close()
            return Outcome(item, reason_of(error))
        return Outcome(item)


def pause_s(attempts: int) -> float:
    """Pause after this many attempts: doubled each time, an hour at most."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 16))


def _all_failed(found: Sequence[tuple[ForwardItem, InstanceRef]], reason: str) -> list[Outcome]:
    return [Outcome(item, reason) for item, _ in found]
