"""What wishes are about: the resource of an id or condition, and what must hold when it is written.

A condition is looked for among stored resources and among what this server makes itself: a reading
that is there is not written a second time, and is not changed.

Errors  FhirError: 400, 404, 405, 412
Source  R4 4.0.1 3.1.0.4.3, 3.1.0.7.1 (conditional create, delete), 2.3.0.3 (by search)
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import UUID

from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.conditions import criteria_of_query
from wardlight_cloud.fhir.stored.refusing import made_here, many, refused
from wardlight_cloud.fhir.stored.visible import row_meets
from wardlight_cloud.fhir.stored.wishes import OwnFound, Query, Wish
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import (
    Expectation,
    ResourceQuery,
    ResourceRow,
    ResourceStore,
)

INTERACTIONS: Final = {
    "POST": Interaction.CREATE, "PUT": Interaction.UPDATE, "PATCH": Interaction.UPDATE,
    "DELETE": Interaction.DELETE,
}  # fmt: skip
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")


class OwnResources(Protocol):
    """What this server makes itself of the kinds that are stored, too."""

    async def owns(self, kind: str, resource_id: str) -> bool:
        """Whether the id is, or could only be, one of its own."""

    async def owners(self, kind: str, ids: Sequence[str]) -> Mapping[str, tuple[UUID, ...]]:
        """Those of the ids that are there, and the patients that they are about, if any."""

    async def found(self, asker: Asker, kind: str, given: Query) -> Sequence[OwnFound]:
        """Those that a condition finds of what the asker may search, two at most."""


@dataclass(frozen=True, slots=True)
class Target:
    """An id, what is there now, what must still hold at the write.

    ``is_done``: a conditional create that found what it would have created, ``held`` or ``own``.
    """

    id: str
    held: ResourceRow | None
    expected: Expectation | None = None
    is_done: bool = False
    own: OwnFound | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What a condition finds now, stored and made here."""

    query: ResourceQuery
    rows: tuple[ResourceRow, ...]
    own: Sequence[OwnFound]

    def __len__(self) -> int:
        return len(self.rows) + len(self.own)


class Targets:
    """Looks for them."""

    def __init__(self, store: ResourceStore, own: OwnResources) -> None:
        self._store = store
        self._own = own

    async def of(self, asker: Asker, wish: Wish) -> Target:
        """What a wish is about."""
        if wish.method == "POST":
            return await self._of_create(asker, wish)
        if wish.query is not None:
            return await self._of_query(asker, wish, wish.query)
        assert wish.id is not None  # noqa: S101 - whoever made the wish saw to it
        _check_id(wish, wish.id)
        if await self._own.owns(wish.kind, wish.id):
            raise made_here(wish)
        return Target(wish.id, await self._held(asker, wish, wish.id))

    async def referred_to(self, asker: Asker, wish: Wish, kind: str, given: Query) -> str:
        """``Kind/id`` that a conditional reference of a wish's resource leads to."""
        limits = asker.limits(kind)
        conditions = criteria_of_query(asker.criteria(), kind, given)
        query = ResourceQuery(kind, limits.patients, (*limits.conditions, *conditions))
        rows = (await self._store.resources(replace(query, count=2))).rows
        own = await self._own.found(asker, kind, given)
        ids = [row.id for row in rows] + [each.id for each in own]
        if len(ids) != 1:
            text = f"A conditional reference to {kind} finds {'nothing' if not ids else 'many'}."
            raise refused(wish, 412, "processing", text)
        return f"{kind}/{ids[0]}"

    async def _of_create(self, asker: Asker, wish: Wish) -> Target:
        new = str(uuid.uuid4())
        if wish.if_none_exist is None:
            return Target(new, None)
        found = await self._found(asker, wish, wish.if_none_exist)
        if len(found) > 1:
            raise many(wish)
        if found.own:
            (own,) = found.own
            return Target(own.id, None, Expectation(found.query, None), is_done=True, own=own)
        if found.rows:
            (row,) = found.rows
            return Target(row.id, row, Expectation(found.query, row.id), is_done=True)
        return Target(new, None, Expectation(found.query, None))

    async def _of_query(self, asker: Asker, wish: Wish, given: Query) -> Target:
        found = await self._found(asker, wish, given)
        if len(found) > 1:
            raise many(wish)
        if found.own:
            raise made_here(wish)
        named = (wish.resource or {}).get("id")
        if found.rows:
            (row,) = found.rows
            if named not in (None, row.id):
                text = "The id of the resource is not that of the one that the condition finds."
                raise refused(wish, 400, "invalid", text)
            return Target(row.id, row, Expectation(found.query, row.id))
        if wish.method == "PATCH":
            raise refused(wish, 404, "not-found", "The condition finds nothing.")
        resource_id = named if isinstance(named, str) else str(uuid.uuid4())
        _check_id(wish, resource_id)
        if isinstance(named, str) and await self._own.owns(wish.kind, named):
            raise made_here(wish)
        held = await self._held(asker, wish, resource_id)
        return Target(resource_id, held, Expectation(found.query, None))

    async def _found(self, asker: Asker, wish: Wish, given: Query) -> _Found:
        limits = asker.limits_of_condition(wish.kind, INTERACTIONS[wish.method])
        conditions = criteria_of_query(asker.criteria(), wish.kind, given)
        query = ResourceQuery(wish.kind, limits.patients, (*limits.conditions, *conditions))
        page = await self._store.resources(replace(query, count=2))
        return _Found(query, page.rows, await self._own.found(asker, wish.kind, given))

    async def _held(self, asker: Asker, wish: Wish, resource_id: str) -> ResourceRow | None:
        """What has the id now; 404 where it is another patient's."""
        rows = await self._store.resources_by_id(wish.kind, [resource_id], patients=None)
        if not rows:
            return None
        limits = asker.limits(wish.kind, INTERACTIONS[wish.method])
        is_seen = is_within(wish.kind, rows[0].patients, limits.patients)
        if not is_seen or not row_meets(limits.conditions, rows[0], asker.base):
            raise refused(wish, 404, "not-found", f"There is no {wish.kind} with this id.")
        return rows[0]


def _check_id(wish: Wish, resource_id: str) -> None:
    if _ID.fullmatch(resource_id) is None:
        text = "An id has 1 to 64 of the characters A-Z a-z 0-9 - . "
        raise refused(wish, 400, "invalid", text, "id")
    if wish.kind == "Patient" and wish.method == "PUT" and not _is_uuid(resource_id):
        text = "The id of a Patient is a UUID in small letters here; or create it with POST."
        raise refused(wish, 400, "invalid", text, "id")


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
