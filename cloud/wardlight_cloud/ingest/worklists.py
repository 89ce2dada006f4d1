"""The worklists of gateways on their way down: answers to those who ask, news to those who did.

A gateway says which revision it has. It gets what changed since, page by page; it asks again from
where a page ended. Later changes are pushed from the revision that it was told last: a page that
is lost makes the next one not continue, and the gateway asks. Revisions count within an epoch of
the database: after a backup was brought back the list begins anew.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping
from typing import Final

from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.metrics import STORE_FAILURES
from wardlight_cloud.ingest.ports import Publish
from wardlight_cloud.store.orders import Changes, OrderStore
from wardlight_shared import topics, worklist
from wardlight_shared.blobs import WorklistWanted
from wardlight_shared.errors import StorageError
from wardlight_shared.timestamps import utc_ms_from_datetime
from wardlight_shared.topics import Down
from wardlight_shared.worklist import WorklistEntry, WorklistPage

_log = logging.getLogger(__name__)
_EVERY_S: Final = 2.0
_MOST: Final = 10_000
_ROOM: Final = worklist.MAX_BYTES - 1024
_Place = tuple[int, int]  # epoch and revision
_ENTRY_ROOM: Final = 32  # numbers and lengths of one entry


class Worklists:
    """Answers and pushes, for gateways of held shards."""

    def __init__(
        self,
        store: OrderStore,
        publish: Publish,
        leases: Leases,
        admission: Admission,
        timeout_s: float,
    ) -> None:
        self._store = store
        self._publish = publish
        self._leases = leases
        self._admission = admission
        self._timeout_s = timeout_s
        self._wanted: dict[str, _Place] = {}
        self._told: dict[str, _Place] = {}
        self._heard = asyncio.Event()

    def hear(self, gateway: str, wanted: WorklistWanted) -> None:
        """Keep what a gateway asks for; the newest counts."""
        if gateway in self._wanted or len(self._wanted) < _MOST:
            self._wanted[gateway] = wanted.epoch, wanted.revision
            self._heard.set()

    async def run(self) -> None:
        """Answer and push for ever."""
        loop = asyncio.get_running_loop()
        push_at = loop.time() + _EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(push_at):
                    await self._heard.wait()
            self._heard.clear()
            if loop.time() >= push_at:  # however many ask
                await self._patiently(self._push())
                push_at = loop.time() + _EVERY_S
            while self._wanted:
                gateway = next(iter(self._wanted))
                await self._patiently(self._answer(gateway, self._wanted.pop(gateway)))

    async def _patiently(self, turn: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await turn
        except (StorageError, TimeoutError) as error:
            STORE_FAILURES.labels("worklists").inc()
            _log.warning("worklist not read", extra={"error": str(error) or "no answer in time"})

    async def _answer(self, gateway: str, place: _Place) -> None:
        if self._holds(gateway) and await self._admission.allows(gateway):
            await self._tell(gateway, place)

    async def _push(self) -> None:
        for gateway in [name for name in self._told if not self._holds(name)]:
            del self._told[gateway]
        newest: Mapping[str, int] = {}
        if self._told:
            newest = await self._store.worklist_revisions(list(self._told))
        for gateway, revision in newest.items():
            told = self._told.get(gateway)
            if told is not None and told[1] < revision and await self._admission.allows(gateway):
                await self._tell(gateway, told)

    async def _tell(self, gateway: str, place: _Place) -> None:
        epoch, revision = place
        found = page(await self._store.changes_of(gateway, revision, epoch=epoch))
        if self._publish(topics.down(gateway, Down.WORKLIST), worklist.encode(found)) and (
            gateway in self._told or len(self._told) < _MOST
        ):
            self._told[gateway] = found.epoch, found.upto

    def _holds(self, gateway: str) -> bool:
        return self._leases.holds(topics.shard_of(gateway))


def page(changes: Changes) -> WorklistPage:
    """As many changes as fit in a message."""
    fitting: list[WorklistEntry] = []
    size = 0
    for each in changes.entries:
        size += _ENTRY_ROOM + len(each.data_set or b"")
        if size > _ROOM:
            break
        fitting.append(WorklistEntry(each.entry, each.revision, each.data_set))
    is_whole = len(fitting) == len(changes.entries) and (
        not fitting or fitting[-1].revision >= changes.newest
    )
    upto = changes.newest if is_whole else fitting[-1].revision
    as_of_ms = utc_ms_from_datetime(changes.as_of)
    return WorklistPage(
        worklist.VERSION, changes.since, upto, changes.newest, as_of_ms, fitting, changes.epoch
    )
