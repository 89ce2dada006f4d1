"""Turns commits into events: one leader at a time, in the order of commits, each event once.

A step reads what the next commits brought, finds who asked for it, and adds the events and the new
progress in one transaction, which does nothing when another process has moved the progress, or a
subscription has begun or ended, since it was read. Where nothing was found the progress is moved
from time to time only: until then, what was looked at is known by this process, and looked at
again by the next one.

Subscriptions themselves come this way, too: a version that its owner wrote is taken from here.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.kinds import SUBSCRIPTION
from wardlight_cloud.fhir.subscriptions import lifecycle
from wardlight_cloud.fhir.subscriptions.asked import Asked
from wardlight_cloud.fhir.subscriptions.matching import OBSERVATION, Wanted, access_of, compiled
from wardlight_cloud.fhir.subscriptions.metrics import EVENTS
from wardlight_cloud.fhir.subscriptions.ports import SubscribingStore
from wardlight_cloud.fhir.subscriptions.resource import definition_of
from wardlight_cloud.fhir.subscriptions.taking import note_defect, take
from wardlight_cloud.store.resources import ResourceRow
from wardlight_cloud.store.subscriptions import (
    Match,
    ObservationChange,
    Progress,
    Subscriber,
    SubscriptionRow,
)
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 500
_KEPT_FOR_S: Final = 10.0  # progress that found nothing, in this process alone
_PAUSE_S: Final = 0.1  # commits closer together than this share a step
_IDLE_PAUSE_S: Final = 0.5  # the same while nobody has subscribed to anything
_RETRY_S: Final = 2.0
_FOLLOW_S: Final = 5.0  # who does not lead asks again
_TIDY_S: Final = 3600.0
_NAME: Final = "subscriptions"
_FORBIDDEN: Final = 403

_Wording = tuple[str, int, Subscriber, tuple[str, ...] | None]
"""What a compiled subscription depends on."""


class Watcher:
    """Runs until it is cancelled. ``days``: how long events are kept."""

    def __init__(
        self,
        store: SubscribingStore,
        *,
        days: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._days = days
        self._clock = clock
        self._seen: Progress | None = None  # further than the database says
        self._kept_at = float("-inf")
        self._revision = -1
        self._wanted: dict[str, Asked] = {}
        self._compiled: dict[_Wording, Wanted] = {}
        self._tidied_at = float("-inf")

    async def run(self) -> None:
        """Lead, or wait until nobody else does."""
        while True:
            try:
                async with self._store.leadership(_NAME) as leads:
                    if leads:
                        await self._lead()
                await asyncio.sleep(_FOLLOW_S)
            except StorageError as error:
                _log.warning("commits are not looked at", extra={"error": str(error)})
                await asyncio.sleep(_RETRY_S)

    async def _lead(self) -> None:
        async with self._store.changes() as changes:
            while await self.step():
                pass
            async for _ in changes:
                while await self.step():
                    pass
                await self._tidy()
                await asyncio.sleep(_PAUSE_S if self._wanted else _IDLE_PAUSE_S)

    async def _tidy(self) -> None:
        if self._clock() - self._tidied_at >= _TIDY_S:
            self._tidied_at = self._clock()
            await self._store.forget_subscription_events(days=self._days)

    async def step(self) -> bool:
        """Look at the next commits; True when there are more, or it is to be done again."""
        held = await self._store.subscription_progress()
        seen = self._going_on(held)
        if seen.resource_seq >= held.newest and seen.place is None:
            return False
        await self._compile(held.revision)
        changed, reached = await self._store.changed_resources(
            [*self._wanted, SUBSCRIPTION],
            after=seen.resource_seq, upto=held.newest, count=_AT_ONCE,
        )  # fmt: skip
        if await take(self._store, [row for row in changed if row.kind == SUBSCRIPTION]):
            return True  # who has subscribed is read anew
        rows, place = await self._observations(seen, max(reached, seen.commit_seq))
        if place is not None:
            # A page ended inside what these commits brought: resources go as far as it does.
            reached = max(seen.resource_seq, rows[-1].commit_seq)
            now = replace(seen, resource_seq=reached, place=place)
        else:
            now = replace(seen, commit_seq=reached, resource_seq=reached, place=None)
        of_resources = await self._of_resources(
            [row for row in changed if row.commit_seq <= reached]
        )
        matches = [*self._of_readings(rows), *of_resources]
        matches.sort(key=lambda each: each.commit_seq)  # stable: their order within a commit stays
        if not await self._kept(held, now, matches):
            return True  # no commit tells of it once more
        return now.place is not None or now.commit_seq < held.newest

    def _going_on(self, held: Progress) -> Progress:
        seen = self._seen
        if seen is not None and (seen.turn, seen.revision) == (held.turn, held.revision):
            return replace(seen, newest=held.newest)
        self._seen = None
        return held

    async def _kept(self, held: Progress, now: Progress, matches: Sequence[Match]) -> bool:
        """False: the progress or what is asked for was changed meanwhile, and nothing is kept."""
        is_due = self._clock() - self._kept_at >= _KEPT_FOR_S
        if not matches and not is_due and now.place is None:
            self._seen = now
            return True
        self._seen = None
        if not await self._store.add_events(held, now, matches):
            return False
        EVENTS.inc(len(matches))
        self._kept_at = self._clock()
        return True

    # -- who has subscribed

    async def _compile(self, revision: int) -> None:
        if revision == self._revision:
            return
        known: dict[_Wording, Wanted] = {}
        asked: dict[str, Asked] = defaultdict(Asked)
        for row in await self._store.subscriptions():
            wording = (row.subscription_id, row.generation, row.subscriber, row.allowed)
            wanted = self._compiled.get(wording)
            if wanted is None:
                wanted = await self._compiled_or_stopped(row)
                await asyncio.sleep(0)  # of thousands: whoever asks for something else is served
            if wanted is not None:
                known[wording] = wanted
                asked[wanted.kind].add(row, wanted)
        self._wanted, self._compiled, self._revision = dict(asked), known, revision

    async def _compiled_or_stopped(self, row: SubscriptionRow) -> Wanted | None:
        """None: it was ended, for it would be silent from now on, and its owner reads why."""
        about, access = definition_of(row), access_of(row)
        if about is None:
            reason = lifecycle.UNREADABLE
        elif access is None:
            reason = lifecycle.NOT_PERMITTED
        else:
            asker = Asker(isolation.on_behalf_of(access), row.subscriber.base)
            try:
                return compiled(about, asker)
            except FhirError as error:
                is_right = error.status == _FORBIDDEN
                reason = lifecycle.NOT_PERMITTED if is_right else f"it cannot be kept: {error}"
            except Exception as error:  # noqa: BLE001 - supervisor of one: the others go on
                note_defect(error, row.subscription_id)
                reason = lifecycle.FAILED
        await self._store.stop_subscription(row.subscription_id, row.version, reason)
        return None

    # -- what they asked for

    async def _observations(
        self, seen: Progress, upto: int
    ) -> tuple[Sequence[ObservationChange], bytes | None]:
        asked = self._wanted.get(OBSERVATION)
        if asked is None or not asked.has_readings:
            return (), None
        return await self._store.changed_observations(
            after=seen.commit_seq, upto=upto, place=seen.place, count=_AT_ONCE
        )

    def _of_readings(self, changes: Sequence[ObservationChange]) -> list[Match]:
        found: list[Match] = []
        for change in changes:
            patient = change.row.origin.patient_id
            for about in self._wanted[OBSERVATION].of_change(change):
                match = Match(
                    about.subscription_id, about.generation, change.commit_seq, change.stored_at,
                    OBSERVATION, change.row.observation_id, (patient,), change.is_left,
                )  # fmt: skip
                found.append(match)
        return found

    async def _of_resources(self, rows: Sequence[ResourceRow]) -> list[Match]:
        versions = [row for row in rows if row.kind in self._wanted]
        before = await self._store.left_resources([row for row in versions if not row.is_new])
        found: list[Match] = []
        for row in versions:
            takers = self._wanted[row.kind].of_version(row) if row.body is not None else []
            former = before.get((row.key, row.commit_seq))
            if former is not None:
                told = {about.subscription_id for about in takers}
                found += [
                    _match(about, row, former.patients)
                    for about in self._wanted[row.kind].of_version(former)
                    if about.subscription_id not in told
                ]
            found += [_match(about, row) for about in takers]
        return found


def _match(about: SubscriptionRow, row: ResourceRow, left: tuple[UUID, ...] | None = None) -> Match:
    """The event of a version; ``left``: that it is not of all these patients any more."""
    return Match(
        about.subscription_id, about.generation, row.commit_seq, row.stored_at, row.kind, row.id,
        row.patients if left is None else left, left is not None,
    )  # fmt: skip
