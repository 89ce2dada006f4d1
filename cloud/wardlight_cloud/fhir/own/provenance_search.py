"""Searches and reads of the Provenances of readings, and those that belong to a page of them.

provenances = Provenances(store)
texts = await provenances.of_observations(rows, reach)     # _revinclude=Provenance:target
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
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
    gateways,
    key_of,
    provenance,
    provenance_key,
)
from wardlight_cloud.fhir.parameters import uuid
from wardlight_cloud.fhir.resources import COLLECTOR_ID
from wardlight_cloud.security.access import Reach
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.commits import CommitStore, UploadQuery
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

PROVENANCE_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "agent": "reference", "patient": "reference",
    "recorded": "date", "target": "reference",
}  # fmt: skip
_AT_ONCE: Final = 500
_LOOKED_AT_MOST: Final = 1000  # commits, for one page


class ProvenanceStore(ReadStore, CommitStore, Protocol):
    """What is asked of the store."""


class Provenances:
    """See OwnKind."""

    kind = KIND
    parameters = PROVENANCE_PARAMETERS

    def __init__(self, store: ProvenanceStore) -> None:
        self._store = store

    async def find(self, asked: Asked, reach: Reach, *, count: int, after: bytes | None) -> Page:
        """See OwnKind; in the order of commits, and of patients within one."""
        place = None if after is None else _opened(after)
        found: list[Upload] = []
        looked_at = 0
        async for key in self._keys(asked, reach, place, count):
            if len(found) == count or looked_at == _LOOKED_AT_MOST:
                assert place is not None  # noqa: S101 - it was looked at
                following = msgspec.msgpack.encode(place)
                return [_made(each) for each in found], following
            upload = await self._upload(key)
            place, looked_at = key, looked_at + 1
            if upload is not None and _is_asked(asked, upload):
                found.append(upload)
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

    async def _keys(
        self, asked: Asked, reach: Reach, after: ProvenanceKey | None, count: int
    ) -> AsyncIterator[ProvenanceKey]:
        """Keys behind a place that may be those of what is asked for."""
        patients = within(reach.patients, asked.ids("patient", "Patient"))
        named = await self._named(asked, reach)
        if named is not None:
            for key in named:
                if (after is None or key > after) and (patients is None or key[1] in patients):
                    yield key
            return
        start, end = asked.interval("recorded", "_lastUpdated")
        query = UploadQuery(patients, _sensors(asked), start, end, after, count + 1)
        while True:
            keys = await self._store.uploads(query)
            for key in keys:
                yield key
            if len(keys) < query.count:
                return
            query = replace(query, after=keys[-1])

    async def _named(self, asked: Asked, reach: Reach) -> Sequence[ProvenanceKey] | None:
        """Keys of those that are asked for by name; None = by no name."""
        ids, targets = asked.values("_id"), asked.values("target")
        found: set[ProvenanceKey] | None = None
        if ids is not None:
            found = {key for key in map(provenance_key, ids) if key and reach.sees(key[1])}
        if targets is not None:
            wanted = tuple(
                each.removeprefix("Observation/") for each in targets if _is_observation(each)
            )
            query = ObservationQuery(patients=reach.patients, ids=wanted, count=len(wanted))
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


def _is_observation(reference: str) -> bool:
    kind, slash, _ = reference.partition("/")
    return not slash or kind == "Observation"


def _opened(cursor: bytes) -> ProvenanceKey:
    try:
        place: ProvenanceKey = msgspec.msgpack.decode(cursor, type=ProvenanceKey)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError("not a cursor of this search") from error
    return place


def _sensors(asked: Asked) -> tuple[UUID, ...] | None:
    """Devices that one of must be an author; None = an agent that is no sensor would do, too."""
    agents = asked.values("agent")
    found = [uuid(each.removeprefix("Device/")) for each in agents or ()]
    made = tuple(each for each in found if each is not None)
    return made if agents is not None and len(made) == len(found) else None


def _is_asked(asked: Asked, upload: Upload) -> bool:
    """Whether it was recorded then, and one of the agents is asked for, or none is."""
    start, end = asked.interval("recorded", "_lastUpdated")
    at = upload.commit.stored_at
    if (start is not None and at < start) or (end is not None and at >= end):
        return False
    agents = asked.values("agent")
    if agents is None:
        return True
    own = {f"Device/{row.origin.device_id}" for row in upload.rows} | {f"Device/{COLLECTOR_ID}"}
    own |= set(gateways(upload)) if upload.commit.is_upload else set()
    return any((each if "/" in each else f"Device/{each}") in own for each in agents)


def _made(upload: Upload) -> Made:
    return Made(provenance(upload), str(upload.commit.commit_seq), upload.commit.stored_at)
