"""Changes to stored resources: one transaction of the store for all wishes of one request.

What a change depends on (what a condition finds, the version it is made over) is looked up first
(targets.py) and given to the store as an expectation; where it does not hold any more when the
store writes, all is looked up anew. So two clients that create under one condition make one
resource, and a transaction sent again makes nothing twice.

Errors  FhirError: 400, 403, 404, 405, 409 (others keep changing the same), 410, 412, 422
Source  R4 4.0.1 3.1.0 (RESTful API); RFC 9110 13.1.1 (If-Match)
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from wardlight_cloud.fhir.answers import several_people
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.body import parsed, stored_text, whole
from wardlight_cloud.fhir.stored.index_values import index_values, patients_of
from wardlight_cloud.fhir.stored.json_patch import patched, tests_values
from wardlight_cloud.fhir.stored.kinds import NOT_DELETED, STORED
from wardlight_cloud.fhir.stored.measurements import marked
from wardlight_cloud.fhir.stored.names import Names, with_names
from wardlight_cloud.fhir.stored.overlaps import refuse_overlaps, refuse_repeats
from wardlight_cloud.fhir.stored.patient_columns import patient_columns
from wardlight_cloud.fhir.stored.references import check_references
from wardlight_cloud.fhir.stored.refusing import refused, stale, taken, there_already
from wardlight_cloud.fhir.stored.rules import (
    IDENTITY_STAYS,
    PRESCRIBES_NOTHING,
    RESERVED,
    changed_identity,
    prescribes,
    reserved_identifier,
)
from wardlight_cloud.fhir.stored.targets import INTERACTIONS, OwnResources, Target, Targets
from wardlight_cloud.fhir.stored.validation import Validation
from wardlight_cloud.fhir.stored.visible import meets
from wardlight_cloud.fhir.stored.wishes import ANY_VERSION, Done, Wish
from wardlight_cloud.store.resources import (
    Conflict,
    Delete,
    Expect,
    Happened,
    Put,
    ResourceChange,
    ResourceRow,
    ResourceStore,
    SeveralPeople,
    Written,
)

_TRIES: Final = 8
_STATUS: Final = {
    Happened.CREATED: 201, Happened.UPDATED: 200, Happened.UNCHANGED: 200, Happened.DELETED: 204,
}  # fmt: skip
LARGEST_RESOURCE: Final = 1 << 20


Prepare = Callable[[Asker, dict[str, Any]], Awaitable[dict[str, Any]]]
"""What is written in the place of a valid resource; raises FhirError for one that is not."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A wish with its target and the change that it comes to."""

    wish: Wish
    target: Target
    change: ResourceChange


class Writer:
    """Makes wishes true, all of a request or none. ``prepare``: by kind.

    ``prescribing``: clients whose MedicationRequests may be more than proposals.
    """

    def __init__(
        self,
        store: ResourceStore,
        validation: Validation,
        own: OwnResources,
        prepare: Mapping[str, Prepare] | None = None,
        prescribing: Collection[str] = (),
    ) -> None:
        self._prescribing = prescribing
        self._prepare = prepare or {}
        self._store = store
        self._validation = validation
        self._own = own
        self._targets = Targets(store, own)

    async def write(self, asker: Asker, wishes: Sequence[Wish]) -> list[Done]:
        """Do all of them in one transaction."""
        for wish in wishes:
            if wish.kind not in STORED:
                raise refused(wish, 404, "not-supported", f"{wish.kind} is not stored here.")
            asker.check_change(wish.kind, INTERACTIONS[wish.method])
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
            step = steps[written.place]
            if written.identifier is not None and isinstance(step.change, Put):
                identifiers = parsed(step.change.body).get("identifier", [])
                raise taken(step.wish, identifiers, written.identifier)
        raise FhirError(409, "conflict", "Others keep changing the same resources; try again.")

    async def _steps(self, asker: Asker, wishes: Sequence[Wish]) -> list[_Step]:
        targets = [await self._targets.of(asker, wish) for wish in wishes]
        names = Names(
            {
                wish.full_url: f"{wish.kind}/{target.id}"
                for wish, target in zip(wishes, targets, strict=True)
                if wish.full_url is not None
            }
        )
        refuse_repeats(wishes, targets)
        wanted = [
            await self._resource(asker, wish, target, names)
            for wish, target in zip(wishes, targets, strict=True)
        ]
        await self._check(asker, wishes, targets, wanted)
        wanted = [
            await self._prepared(asker, wish, resource)
            for wish, resource in zip(wishes, wanted, strict=True)
        ]
        changes = [
            _change(asker, wish, target, resource, may_prescribe=asker.client in self._prescribing)
            for wish, target, resource in zip(wishes, targets, wanted, strict=True)
        ]
        await refuse_overlaps(wishes, changes)
        return [
            _Step(wish, target, change)
            for wish, target, change in zip(wishes, targets, changes, strict=True)
        ]

    async def _resource(
        self, asker: Asker, wish: Wish, target: Target, names: Names
    ) -> dict[str, Any] | None:
        """What is to be written; None for nothing."""
        if target.is_done:
            return None
        _check_version(wish, target.held)
        if wish.method == "DELETE":
            return None
        if wish.method == "PATCH":
            resource = _after_patch(asker, wish, target)
        else:
            resource = dict(wish.resource or {})
            if wish.method == "PUT" and wish.query is None and resource.get("id") != wish.id:
                text = "The resource must have the id that it is put to."
                raise refused(wish, 400, "invalid", text, "id")
        resource["id"] = target.id
        resolve = partial(self._targets.referred_to, asker, wish)
        return await with_names(resource, names.seen_from(wish.full_url), resolve)

    async def _prepared(
        self, asker: Asker, wish: Wish, resource: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        prepare = self._prepare.get(wish.kind)
        if resource is None:
            return None
        if wish.kind == "Observation":
            return marked(resource)
        return resource if prepare is None else await prepare(asker, resource)

    async def _check(
        self,
        asker: Asker,
        wishes: Sequence[Wish],
        targets: Sequence[Target],
        wanted: Sequence[dict[str, Any] | None],
    ) -> None:
        texts, places, resources = [], [], []
        for wish, resource in zip(wishes, wanted, strict=True):
            if resource is None:
                continue
            text = stored_text(resource)
            if len(text) > LARGEST_RESOURCE:
                raise refused(wish, 413, "too-long", "A resource has at most 1 MiB.")
            head = f'{{"resourceType":"{wish.kind}","id":"{resource["id"]}"'.encode()
            texts.append(head + (b"}" if text == b"{}" else b"," + text[1:]))
            places.append(wish.place)
            resources.append((wish.place, resource))
        await self._validation.check(texts, places)
        new = {
            f"{wish.kind}/{target.id}": made
            for wish, target, made in zip(wishes, targets, wanted, strict=True)
            if not target.is_done  # that one is looked up: it may be another patient's
        }
        await check_references(self._store, self._own, asker, resources, new)


def _change(
    asker: Asker,
    wish: Wish,
    target: Target,
    resource: dict[str, Any] | None,
    *,
    may_prescribe: bool,
) -> ResourceChange:
    """What the store is asked for."""
    version = _version(target.held)
    if target.is_done and target.expected is not None:
        return Expect(target.expected)
    if wish.kind == "MedicationRequest":
        limits = asker.limits(wish.kind, INTERACTIONS[wish.method])
        if not may_prescribe or limits.patients is not None:
            _check_prescribes_nothing(wish, target, resource)
    if resource is None:
        if wish.kind in NOT_DELETED:
            text = f"{wish.kind} cannot be deleted: readings and images belong to it."
            raise refused(wish, 405, "not-supported", text, headers={"Allow": "GET, PUT"})
        return Delete(wish.kind, target.id, version, target.expected)
    patients = patients_of(resource, asker.base)
    limits = asker.limits(wish.kind, INTERACTIONS[wish.method])
    index = index_values(resource, asker.base)
    if not is_within(wish.kind, patients, limits.patients):
        text = "The token is for another patient than the one that the resource is about."
        raise refused(wish, 403, "forbidden", text)
    if not meets(limits.conditions, index):
        text = "The token is for other categories than those of the resource."
        raise refused(wish, 403, "forbidden", text)
    _check_rules(wish, target, resource, is_of_one_patient=limits.patients is not None)
    return Put(
        wish.kind, target.id, stored_text(resource), patients, index, version,
        target.expected, patient_columns(resource) if wish.kind == "Patient" else None,
    )  # fmt: skip


def _check_version(wish: Wish, held: ResourceRow | None) -> None:
    """If-Match and If-None-Match, looked at again whenever the store met another version."""
    version = _version(held)
    unwanted = wish.if_none_match
    if version and unwanted is not None and (unwanted == ANY_VERSION or version in unwanted):
        raise there_already(wish)
    if wish.if_match is None:
        return
    if not version or (wish.if_match != ANY_VERSION and version not in wish.if_match):
        raise stale(wish)


def _after_patch(asker: Asker, wish: Wish, target: Target) -> dict[str, Any]:
    held = target.held
    if held is None:
        raise refused(wish, 404, "not-found", f"There is no {wish.kind} with this id.")
    if held.body is None:
        raise refused(wish, 410, "deleted", f"This {wish.kind} was deleted.")
    resource = parsed(whole(held))
    if tests_values(wish.patch) and not asker.may_read(
        wish.kind, held.patients, index_values(resource, asker.base)
    ):
        text = "The patch tests values, which tells what they are: that needs a scope to read them."
        raise refused(wish, 403, "forbidden", text)
    resource = patched(resource, wish.patch)
    if not isinstance(resource, dict) or (
        resource.get("resourceType"), resource.get("id"),
    ) != (wish.kind, target.id):  # fmt: skip
        text = "A patch cannot change the type or the id of a resource."
        raise refused(wish, 422, "processing", text)
    if not isinstance(resource.get("meta", {}), dict):
        raise refused(wish, 422, "structure", "meta would not be an object.", "meta")
    return resource


def _check_prescribes_nothing(wish: Wish, target: Target, resource: dict[str, Any] | None) -> None:
    row = target.held
    held = {} if row is None or row.body is None else parsed(whole(row))
    if prescribes(held, resource or {}):
        raise refused(wish, 422, "business-rule", PRESCRIBES_NOTHING, "intent")


def _check_rules(
    wish: Wish, target: Target, resource: dict[str, Any], *, is_of_one_patient: bool
) -> None:
    row = target.held
    held = {} if row is None or row.body is None else parsed(whole(row))
    place = reserved_identifier(held, resource)
    if place is not None:
        raise refused(wish, 422, "business-rule", RESERVED, place)
    if wish.kind == "Patient" and is_of_one_patient:
        element = changed_identity(held, resource)
        if element is not None:
            raise refused(wish, 403, "forbidden", IDENTITY_STAYS, element)


def _version(held: ResourceRow | None) -> int:
    return 0 if held is None or held.body is None else held.commit_seq


def _done(asker: Asker, step: _Step, written: Written) -> Done:
    wish, target = step.wish, step.target
    if target.own is not None:
        own = target.own
        return Done(200, wish.kind, own.id, own.version, own.updated, own.text, own.is_readable)
    if isinstance(step.change, Expect):
        assert target.held is not None  # noqa: S101 - it was found
        row, status = target.held, 200
        index: Sequence[Any] = index_values(parsed(whole(row)), asker.base)
    else:
        status = _STATUS[written.happened]
        version = None if written.commit_seq is None else str(written.commit_seq)
        if not isinstance(step.change, Put):
            return Done(204, wish.kind, target.id, version, written.stored_at, None)
        assert written.commit_seq is not None  # noqa: S101 - it was written
        assert written.stored_at is not None  # noqa: S101 - with its commit
        put, index = step.change, step.change.index
        row = ResourceRow(
            0, wish.kind, target.id, written.commit_seq, written.stored_at, put.body, put.patients
        )
    is_readable = asker.may_read(wish.kind, row.patients, index)
    return Done(
        status, wish.kind, row.id, str(row.commit_seq), row.stored_at, whole(row), is_readable
    )  # fmt: skip
