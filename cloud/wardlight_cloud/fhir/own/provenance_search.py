"""Searches and reads of the Provenances of readings, and those that belong to a page of them.

provenances = Provenances(store)
texts = await provenances.of_observations(rows, reach)     # _revinclude=Provenance:target
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from wardlight_cloud.fhir.own.asked import Asked, within
from wardlight_cloud.fhir.own.kind import Made, Page
from wardlight_cloud.fhir.own.provenance import (
    KIND,
    TARGETS_MOST,
    ProvenanceKey,
    Upload,
    by_patient,
    gateways,
    key_of,
    provenance,
    provenance_key,
)
from wardlight_cloud.fhir.resources import COLLECTOR_ID
from wardlight_cloud.security.access import Reach
from wardlight_cloud.store.base import ObservationQuery, ReadStore, TimeBound
from wardlight_cloud.store.commits import CommitStore
from wardlight_cloud.store.observation_rows import ObservationRow

PROVENANCE_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "agent": "reference", "patient": "reference",
    "recorded": "date", "target": "reference",
}  # fmt: skip
_AT_ONCE: Final = 500
_COMMITS_MOST: Final = 2000  # that one page looks at
_PAGES_MOST: Final = 20  # of one commit: a larger one is left behind

_Place = tuple[datetime, int, UUID]
"""(stored_at, commit, patient) that a page is behind."""


class ProvenanceStore(ReadStore, CommitStore, Protocol):
    """What is asked of the store."""


class Provenances:
    """See OwnKind."""

    kind = KIND
    parameters = PROVENANCE_PARAMETERS

    def __init__(self, store: ProvenanceStore) -> None:
        self._store = store

    async def find(self, asked: Asked, reach: Reach, *, count: int, after: bytes | None) -> Page:
        """See OwnKind; in the order of commits."""
        place = None if after is None else _opened(after)
        keys = await self._named(asked, reach)
        patients = within(reach.patients, asked.ids("patient", "Patient"))
        if keys is not None:
            wanted = [key for key in keys if patients is None or key[1] in patients]
            uploads = [each for key in wanted if (each := await self._upload(key)) is not None]
            return [_made(each) for each in uploads if _is_asked(asked, each)], None
        found: list[Upload] = []
        last: _Place | None = None
        looked_at = 0
        async for upload in self._walk(asked, patients, place):
            if place is not None and upload.key <= place[1:]:
                continue
            if len(found) == count or looked_at == _COMMITS_MOST:
                return [_made(each) for each in found], msgspec.msgpack.encode(last)
            last = (upload.commit.stored_at, *upload.key)
            looked_at += 1
            found += [upload] if _is_asked(asked, upload) else []
        return [_made(each) for each in found], None

    async def read(self, resource_id: str, reach: Reach) -> Made | None:
        """See OwnKind."""
        key = provenance_key(resource_id)
        if key is None or not reach.sees(key[1]):
            return None
        upload = await self._upload(key)
        return None if upload is None else _made(upload)

    async def of_observations(
        self, rows: Iterable[ObservationRow], reach: Reach
    ) -> list[dict[str, Any]]:
        """Provenances of Observations, each once, as far as in reach."""
        keys = sorted({key for row in rows if reach.sees((key := key_of(row))[1])})
        uploads = [await self._upload(key) for key in keys]
        return [provenance(each) for each in uploads if each is not None]

    async def _named(self, asked: Asked, reach: Reach) -> Sequence[ProvenanceKey] | None:
        """Keys of those that are asked for by name; None = by no name."""
        ids, targets = asked.values("_id"), asked.values("target")
        found: set[ProvenanceKey] | None = None
        if ids is not None:
            found = {key for key in map(provenance_key, ids) if key and reach.sees(key[1])}
        if targets is not None:
            wanted = [
                each.removeprefix("Observation/") for each in targets if _is_observation(each)
            ]
            query = ObservationQuery(patients=reach.patients, ids=tuple(wanted), count=_AT_ONCE)
            rows = (await self._store.observations(query)).rows if wanted else ()
            keys = {key_of(row) for row in rows}
            found = keys if found is None else found & keys
        return None if found is None else sorted(found)

    async def _upload(self, key: ProvenanceKey) -> Upload | None:
        """None where no Observation has this version any more."""
        seq, patient = key
        commit = (await self._store.commits([seq])).get(seq)
        if commit is None:
            return None
        bounds = (TimeBound("ge", commit.stored_at), TimeBound("le", commit.stored_at))
        query = ObservationQuery(patients=(patient,), stored=bounds, order="commit", count=_AT_ONCE)
        rows: list[ObservationRow] = []
        while len(rows) <= TARGETS_MOST:
            page = await self._store.observations(query)
            rows += [row for row in page.rows if row.commit_seq == seq]
            if page.next is None:
                break
            query = replace(query, after=page.next)
        return Upload(commit, patient, rows[: TARGETS_MOST + 1]) if rows else None

    async def _walk(
        self, asked: Asked, patients: tuple[UUID, ...] | None, place: _Place | None
    ) -> AsyncIterator[Upload]:
        """Uploads from the commit of the place on; of a large one the first rows."""
        start, end = asked.interval("recorded", "_lastUpdated")
        bounds = [] if start is None else [TimeBound("ge", start)]
        bounds += [] if end is None else [TimeBound("lt", end)]
        bounds += [] if place is None else [TimeBound("ge", place[0])]
        query = ObservationQuery(
            patients=patients, stored=tuple(bounds), order="commit", count=_AT_ONCE
        )
        rows: list[ObservationRow] = []
        while True:
            page = await self._store.observations(query)
            for row in page.rows:
                if rows and row.commit_seq != rows[0].commit_seq:
                    for upload in await self._uploads(rows):
                        yield upload
                    rows = []
                rows.append(row)
            if page.next is None:
                break
            query = replace(query, after=page.next)
            if len(rows) > _PAGES_MOST * _AT_ONCE:
                beyond = TimeBound("gt", rows[0].stored_at)
                query = replace(query, after=None, stored=(*bounds, beyond))
        for upload in await self._uploads(rows):
            yield upload

    async def _uploads(self, rows: Sequence[ObservationRow]) -> list[Upload]:
        """Those of one commit."""
        if not rows:
            return []
        seq = rows[0].commit_seq
        return by_patient((await self._store.commits([seq]))[seq], rows)


def _is_observation(reference: str) -> bool:
    kind, slash, _ = reference.partition("/")
    return not slash or kind == "Observation"


def _opened(cursor: bytes) -> _Place:
    try:
        place: _Place = msgspec.msgpack.decode(cursor, type=_Place)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError("not a cursor of this search") from error
    return place


def _is_asked(asked: Asked, upload: Upload) -> bool:
    """Whether one of the agents is asked for, or none is."""
    agents = asked.values("agent")
    if agents is None:
        return True
    own = {f"Device/{row.origin.device_id}" for row in upload.rows} | {f"Device/{COLLECTOR_ID}"}
    own |= set(gateways(upload)) if upload.commit.is_upload else set()
    return any((each if "/" in each else f"Device/{each}") in own for each in agents)


def _made(upload: Upload) -> Made:
    return Made(provenance(upload), str(upload.commit.commit_seq), upload.commit.stored_at)
