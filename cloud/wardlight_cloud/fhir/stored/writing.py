"""Changes to stored resources: one transaction of the store for all wishes of one request.

What a change depends on (what a condition finds, the version it is made over) is looked up first
and given to the store as an expectation; where it does not hold any more when the store writes,
all is looked up anew. So two clients that create under one condition make one resource, and a
transaction sent again makes nothing twice.

Errors  FhirError: 400, 403, 404, 405, 409 (others keep changing the same), 410, 412, 422
Source  R4 4.0.1 3.1.0 (RESTful API)
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from uuid import UUID

from wardlight_cloud.fhir.answers import several_people
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.body import parsed, stored_text, whole
from wardlight_cloud.fhir.stored.conditions import criteria_of_query
from wardlight_cloud.fhir.stored.index_values import index_values, patients_of
from wardlight_cloud.fhir.stored.json_patch import patched
from wardlight_cloud.fhir.stored.kinds import NOT_DELETED, STORED
from wardlight_cloud.fhir.stored.measurements import marked
from wardlight_cloud.fhir.stored.patient_columns import patient_columns
from wardlight_cloud.fhir.stored.references import check_references, with_names
from wardlight_cloud.fhir.stored.rules import (
    IDENTITY_STAYS,
    PRESCRIBES_NOTHING,
    PROPOSAL,
    changed_identity,
)
from wardlight_cloud.fhir.stored.validation import Validation
from wardlight_cloud.fhir.stored.visible import meets, row_meets
from wardlight_cloud.fhir.stored.wishes import Done, Query, Wish
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import (
    Conflict,
    Delete,
    Expect,
    Expectation,
    Happened,
    Put,
    ResourceChange,
    ResourceQuery,
    ResourceRow,
    ResourceStore,
    SeveralPeople,
    Written,
)

_TRIES: Final = 8
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_INTERACTIONS: Final = {
    "POST": Interaction.CREATE, "PUT": Interaction.UPDATE, "PATCH": Interaction.UPDATE,
    "DELETE": Interaction.DELETE,
}  # fmt: skip
_STATUS: Final = {
    Happened.CREATED: 201, Happened.UPDATED: 200, Happened.UNCHANGED: 200, Happened.DELETED: 204,
}  # fmt: skip
LARGEST_RESOURCE: Final = 1 << 20


class OwnResources(Protocol):
    """What this server makes itself of the kinds that are stored, too."""

    async def owns(self, kind: str, resource_id: str) -> bool:
        """Whether the id is, or could only be, one of its own."""


Prepare = Callable[[Asker, dict[str, Any]], Awaitable[dict[str, Any]]]
"""What is written in the place of a valid resource; raises FhirError for one that is not."""


@dataclass(frozen=True, slots=True)
class _Target:
    """What a wish is about: an id, what is there now, what must still hold at the write."""

    id: str
    held: ResourceRow | None
    expected: Expectation | None = None
    is_done: bool = False  # a conditional create that found what it would have created


@dataclass(frozen=True, slots=True)
class _Step:
    """A wish with its target and the change that it comes to."""

    wish: Wish
    target: _Target
    change: ResourceChange


class Writer:
    """Makes wishes true, all of a request or none. ``prepare``: by kind."""

    def __init__(
        self,
        store: ResourceStore,
        validation: Validation,
        own: OwnResources,
        prepare: Mapping[str, Prepare] | None = None,
    ) -> None:
        self._prepare = prepare or {}
        self._store = store
        self._validation = validation
        self._own = own

    async def write(self, asker: Asker, wishes: Sequence[Wish]) -> list[Done]:
        """Do all of them in one transaction."""
        for wish in wishes:
            if wish.kind not in STORED:
                raise _refused(wish, 404, "not-supported", f"{wish.kind} is not stored here.")
            asker.check_change(wish.kind, _INTERACTIONS[wish.method])
        try:
            return await self._written(asker, wishes)
        except SeveralPeople as error:
            raise several_people(error, 412) from error

    async def _written(self, asker: Asker, wishes: Sequence[Wish]) -> list[Done]:
        for _ in range(_TRIES):
            steps = await self._steps(asker, wishes)
            written = await self._store.write_resources([step.change for step in steps])
            if not isinstance(written, Conflict):
                return [_done(asker, step, each) for step, each in zip(steps, written, strict=True)]
            if written.cause == "version" and wishes[written.place].if_match is not None:
                raise _stale(wishes[written.place])
            if written.identifier is not None:
                raise _taken(wishes[written.place], steps[written.place], written.identifier)
        raise FhirError(409, "conflict", "Others keep changing the same resources; try again.")

    async def _steps(self, asker: Asker, wishes: Sequence[Wish]) -> list[_Step]:
        targets = [await self._target(asker, wish) for wish in wishes]
        names: dict[str, str] = {
            wish.full_url: f"{wish.kind}/{target.id}"
            for wish, target in zip(wishes, targets, strict=True)
            if wish.full_url is not None
        }
        _refuse_repeats(wishes, targets)
        wanted = [
            await self._resource(asker, wish, target, names)
            for wish, target in zip(wishes, targets, strict=True)
        ]
        await self._check(asker, wishes, targets, wanted)
        wanted = [
            await self._prepared(asker, wish, resource)
            for wish, resource in zip(wishes, wanted, strict=True)
        ]
        return [
            _Step(wish, target, await self._change(asker, wish, target, resource))
            for wish, target, resource in zip(wishes, targets, wanted, strict=True)
        ]

    # -- what a wish is about

    async def _target(self, asker: Asker, wish: Wish) -> _Target:
        if wish.method == "POST":
            return await self._target_of_create(asker, wish)
        if wish.query is not None:
            return await self._target_of_query(asker, wish, wish.query)
        assert wish.id is not None  # noqa: S101 - whoever made the wish saw to it
        _check_id(wish, wish.id)
        if await self._own.owns(wish.kind, wish.id):
            raise _refused(
                wish, 405, "not-supported",
                f"This {wish.kind} is made by this server from what devices sent; it cannot be "
                "changed. Create one of your own beside it.", headers={"Allow": "GET, HEAD"},
            )  # fmt: skip
        return _Target(wish.id, await self._held(asker, wish, wish.id))

    async def _target_of_create(self, asker: Asker, wish: Wish) -> _Target:
        new = str(uuid.uuid4())
        if wish.if_none_exist is None:
            return _Target(new, None)
        query, found = await self._found(asker, wish, wish.if_none_exist)
        if len(found) > 1:
            raise _many(wish)
        if found:
            expected = Expectation(query, found[0].id)
            return _Target(found[0].id, found[0], expected, is_done=True)
        return _Target(new, None, Expectation(query, None))

    async def _target_of_query(self, asker: Asker, wish: Wish, given: Query) -> _Target:
        query, found = await self._found(asker, wish, given)
        if len(found) > 1:
            raise _many(wish)
        named = (wish.resource or {}).get("id")
        if found:
            if named not in (None, found[0].id):
                text = "The id of the resource is not that of the one that the condition finds."
                raise _refused(wish, 400, "invalid", text)
            return _Target(found[0].id, found[0], Expectation(query, found[0].id))
        if wish.method == "PATCH":
            raise _refused(wish, 404, "not-found", "The condition finds nothing.")
        resource_id = named if isinstance(named, str) else str(uuid.uuid4())
        _check_id(wish, resource_id)
        return _Target(
            resource_id, await self._held(asker, wish, resource_id), Expectation(query, None)
        )

    async def _found(
        self, asker: Asker, wish: Wish, given: Query
    ) -> tuple[ResourceQuery, tuple[ResourceRow, ...]]:
        limits = asker.limits_of_condition(wish.kind, _INTERACTIONS[wish.method])
        conditions = criteria_of_query(asker.criteria(), wish.kind, given)
        query = ResourceQuery(wish.kind, limits.patients, (*limits.conditions, *conditions))
        page = await self._store.resources(replace(query, count=2))
        return query, page.rows

    async def _held(self, asker: Asker, wish: Wish, resource_id: str) -> ResourceRow | None:
        """What has the id now; 404 where it is another patient's."""
        rows = await self._store.resources_by_id(wish.kind, [resource_id], patients=None)
        if not rows:
            return None
        limits = asker.limits(wish.kind, _INTERACTIONS[wish.method])
        is_seen = is_within(wish.kind, rows[0].patients, limits.patients)
        if not is_seen or not row_meets(limits.conditions, rows[0], asker.base):
            raise _refused(wish, 404, "not-found", f"There is no {wish.kind} with this id.")
        return rows[0]

    # -- what is to be written

    async def _resource(
        self, asker: Asker, wish: Wish, target: _Target, names: dict[str, str]
    ) -> dict[str, Any] | None:
        if wish.method == "DELETE" or target.is_done:
            return None
        if wish.method == "PATCH":
            resource = _after_patch(wish, target)
        else:
            resource = dict(wish.resource or {})
            if wish.method == "PUT" and wish.query is None and resource.get("id") != wish.id:
                text = "The resource must have the id that it is put to."
                raise _refused(wish, 400, "invalid", text, "id")
        resource["id"] = target.id
        return await with_names(resource, names, self._resolver(asker, wish))

    async def _prepared(
        self, asker: Asker, wish: Wish, resource: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        prepare = self._prepare.get(wish.kind)
        if resource is None:
            return None
        if wish.kind == "Observation":
            return marked(resource)
        return resource if prepare is None else await prepare(asker, resource)

    def _resolver(self, asker: Asker, wish: Wish) -> Callable[[str, Query], Awaitable[str]]:
        async def resolve(kind: str, given: Query) -> str:
            limits = asker.limits(kind)
            conditions = criteria_of_query(asker.criteria(), kind, given)
            query = ResourceQuery(kind, limits.patients, (*limits.conditions, *conditions))
            rows = (await self._store.resources(replace(query, count=2))).rows
            if len(rows) != 1:
                text = (
                    f"A conditional reference to {kind} finds {'nothing' if not rows else 'many'}."
                )
                raise _refused(wish, 412, "processing", text)
            return f"{kind}/{rows[0].id}"

        return resolve

    async def _check(
        self,
        asker: Asker,
        wishes: Sequence[Wish],
        targets: Sequence[_Target],
        wanted: Sequence[dict[str, Any] | None],
    ) -> None:
        texts, places, resources = [], [], []
        for wish, resource in zip(wishes, wanted, strict=True):
            if resource is None:
                continue
            text = stored_text(resource)
            if len(text) > LARGEST_RESOURCE:
                raise _refused(wish, 413, "too-long", "A resource has at most 1 MiB.")
            head = f'{{"resourceType":"{wish.kind}","id":"{resource["id"]}"'.encode()
            texts.append(head + (b"}" if text == b"{}" else b"," + text[1:]))
            places.append(wish.place)
            resources.append((wish.place, resource))
        await self._validation.check(texts, places)
        new = {f"{wish.kind}/{each.id}" for wish, each in zip(wishes, targets, strict=True)}
        await check_references(self._store, self._own, asker, resources, new)

    async def _change(
        self, asker: Asker, wish: Wish, target: _Target, resource: dict[str, Any] | None
    ) -> ResourceChange:
        version = wish.if_match if wish.if_match is not None else _version(target.held)
        if target.is_done and target.expected is not None:
            return Expect(target.expected)
        if resource is None:
            if wish.kind in NOT_DELETED:
                text = f"{wish.kind} cannot be deleted: readings and images belong to it."
                raise _refused(wish, 405, "not-supported", text, headers={"Allow": "GET, PUT"})
            return Delete(wish.kind, target.id, version, target.expected)
        patients = patients_of(resource, asker.base)
        limits = asker.limits(wish.kind, _INTERACTIONS[wish.method])
        index = index_values(resource, asker.base)
        if not is_within(wish.kind, patients, limits.patients):
            text = "The token is for another patient than the one that the resource is about."
            raise _refused(wish, 403, "forbidden", text)
        if not meets(limits.conditions, index):
            text = "The token is for other categories than those of the resource."
            raise _refused(wish, 403, "forbidden", text)
        _check_rules(wish, target, resource, is_of_one_patient=limits.patients is not None)
        return Put(
            wish.kind, target.id, stored_text(resource), patients, index, version,
            target.expected, patient_columns(resource) if wish.kind == "Patient" else None,
        )  # fmt: skip


def _after_patch(wish: Wish, target: _Target) -> dict[str, Any]:
    if target.held is None:
        raise _refused(wish, 404, "not-found", f"There is no {wish.kind} with this id.")
    if target.held.body is None:
        raise _refused(wish, 410, "deleted", f"This {wish.kind} was deleted.")
    if wish.if_match is not None and wish.if_match != target.held.commit_seq:
        raise _stale(wish)
    resource = patched(parsed(whole(target.held)), wish.patch)
    if not isinstance(resource, dict) or (
        resource.get("resourceType"), resource.get("id"),
    ) != (wish.kind, target.id):  # fmt: skip
        text = "A patch cannot change the type or the id of a resource."
        raise _refused(wish, 422, "processing", text)
    return resource


def _check_rules(
    wish: Wish, target: _Target, resource: dict[str, Any], *, is_of_one_patient: bool
) -> None:
    if wish.kind == "MedicationRequest" and resource.get("intent") != PROPOSAL:
        raise _refused(wish, 422, "business-rule", PRESCRIBES_NOTHING, "intent")
    if wish.kind == "Patient" and is_of_one_patient:
        row = target.held
        held = {} if row is None or row.body is None else parsed(whole(row))
        element = changed_identity(held, resource)
        if element is not None:
            raise _refused(wish, 403, "forbidden", IDENTITY_STAYS, element)


def _version(held: ResourceRow | None) -> int:
    return 0 if held is None or held.body is None else held.commit_seq


def _refuse_repeats(wishes: Sequence[Wish], targets: Sequence[_Target]) -> None:
    seen: set[tuple[str, str]] = set()
    for wish, target in zip(wishes, targets, strict=True):
        if target.is_done:
            continue
        if (wish.kind, target.id) in seen:
            text = "Two entries change the same resource."
            raise _refused(wish, 400, "invalid", text)
        seen.add((wish.kind, target.id))


def _check_id(wish: Wish, resource_id: str) -> None:
    if _ID.fullmatch(resource_id) is None:
        text = "An id has 1 to 64 of the characters A-Z a-z 0-9 - . "
        raise _refused(wish, 400, "invalid", text, "id")
    if wish.kind == "Patient" and wish.method == "PUT" and not _is_uuid(resource_id):
        text = "The id of a Patient is a UUID in small letters here; or create it with POST."
        raise _refused(wish, 400, "invalid", text, "id")


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _done(asker: Asker, step: _Step, written: Written) -> Done:
    wish, target = step.wish, step.target
    if isinstance(step.change, Expect):
        held = target.held
        assert held is not None  # noqa: S101 - it was found
        index = index_values(parsed(whole(held)), asker.base)
        is_readable = asker.may_read(wish.kind, held.patients, index)
        return Done(
            200, wish.kind, held.id, held.commit_seq, held.stored_at, held.body, is_readable
        )  # fmt: skip
    if not isinstance(step.change, Put):
        return Done(204, wish.kind, target.id, written.commit_seq, written.stored_at, None)
    put, status = step.change, _STATUS[written.happened]
    is_readable = asker.may_read(wish.kind, put.patients, put.index)
    return Done(
        status, wish.kind, target.id, written.commit_seq, written.stored_at, put.body, is_readable
    )  # fmt: skip


def _many(wish: Wish) -> FhirError:
    return _refused(wish, 412, "multiple-matches", "The condition finds more than one resource.")


def _taken(wish: Wish, step: _Step, identifier: tuple[str, str]) -> FhirError:
    """422 with the element of a Patient that says another one's identifier."""
    element = "identifier"
    if isinstance(step.change, Put):
        held = parsed(step.change.body).get("identifier", [])
        pairs = [(each.get("system", ""), each.get("value")) for each in held]
        element = f"identifier[{pairs.index(identifier)}]"
    text = (
        "Another Patient has this identifier (system and value). Find it with "
        "Patient?identifier=... and change that one, or take the identifier from it first."
    )
    return _refused(wish, 422, "duplicate", text, element)


def _stale(wish: Wish) -> FhirError:
    return _refused(
        wish, 412, "conflict", "If-Match is not the current version; read it and try again."
    )


def _refused(
    wish: Wish,
    status: int,
    code: Any,
    diagnostics: str,
    element: str = "",
    headers: dict[str, str] | None = None,
) -> FhirError:
    expression = f"{wish.place}{wish.kind}.{element}" if element else wish.place.rstrip(".")
    return FhirError(status, code, diagnostics, expression=expression or wish.kind, headers=headers)
