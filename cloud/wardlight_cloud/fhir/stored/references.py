"""References of resources that are written: names of a Bundle replaced, wrong ones refused.

Refused are dead ends, Observations of another patient than the resource is about, and a subject
whose display names somebody else.

Errors  FhirError 422 with the references at fault; 412 from a resolver
Source  R4 4.0.1 3.1.0.11.2 (transactions), 2.3.0 (references)
"""

from collections import defaultdict
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl
from uuid import UUID

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.outcome import FhirError, IssueType, outcome_issue
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.displays import names_another
from wardlight_cloud.fhir.stored.index_values import patients_of
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.wishes import Query
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import ResourceStore

Resolve = Callable[[str, Query], Awaitable[str]]
_MOST_ISSUES: Final = 20
_MEASURED: Final = "Observation/"
_SUBJECT: Final = "Observation.subject.reference"
_DEAD: Final = "not-found"
_NOTHING: Final = "The reference leads to nothing on this server."
_OF_ANOTHER: Final = (
    "The Observation is about another patient than the resource that refers to it. Refer to one of "
    "the same patient, or to none."
)
_NAMES_ANOTHER: Final = (
    "The display names somebody else than the Patient that the reference leads to. Write that "
    "Patient's name, or leave display out."
)


class _Owns(Protocol):
    async def owners(self, kind: str, ids: Sequence[str]) -> Mapping[str, tuple[UUID, ...]]: ...


async def with_names(
    resource: dict[str, Any], names: dict[str, str], resolve: Resolve
) -> dict[str, Any]:
    """The resource with ``urn:uuid:`` names, and references by search, put to what they mean."""
    made: dict[str, Any] = await _named(resource, names, resolve, "")
    return made


async def _named(node: Any, names: dict[str, str], resolve: Resolve, key: str) -> Any:
    if isinstance(node, dict):
        return {name: await _named(value, names, resolve, name) for name, value in node.items()}
    if isinstance(node, list):
        return [await _named(each, names, resolve, key) for each in node]
    if not isinstance(node, str):
        return node
    if node in names:
        return names[node]
    kind, mark, query = node.partition("?")
    if key == "reference" and mark and kind in STORED:
        return await resolve(kind, tuple(parse_qsl(query, keep_blank_values=True)))
    return node


@dataclass(frozen=True, slots=True)
class _Reference:
    """One that leads to something kept here. ``patients``: of the resource that has it."""

    local: str
    place: str
    patients: frozenset[UUID]
    display: str


@dataclass(frozen=True, slots=True)
class _Referred:
    """What is there. ``body``: of a Patient that the asker may read."""

    patients: frozenset[UUID]
    body: dict[str, Any] | None = None


async def check_references(
    store: ResourceStore,
    own: _Owns,
    asker: Asker,
    resources: Sequence[tuple[str, dict[str, Any]]],
    new: Mapping[str, Collection[UUID] | None],
) -> None:
    """Refuse references to what would be here and is not, and to what is about somebody else.

    ``new``: what the same request writes, and the patients of each; None = it is deleted.
    """
    found = [
        _Reference(local, place + path, frozenset(patients), display)
        for place, resource in resources
        for patients in [patients_of(resource, asker.base)]
        for path, text, display in _references(resource, resource["resourceType"])
        if (local := local_reference(text, asker.base)) is not None
        and local.partition("/")[0] in STORED
    ]
    named = {each.local for each in found if each.display and each.place.endswith(_SUBJECT)}
    wanted = dict.fromkeys(each.local for each in found if each.local not in new)
    there = await _there(store, own, asker, wanted, named)
    there |= {local: _Referred(frozenset(of)) for local, of in new.items() if of is not None}
    wrong = [(each.place, text) for each in found if (text := _what_is_wrong(each, there))]
    if wrong:
        code: IssueType = "business-rule" if any(text != _NOTHING for _, text in wrong) else _DEAD
        issues = [
            outcome_issue("error", _DEAD if text == _NOTHING else "business-rule", text, place)
            for place, text in wrong[:_MOST_ISSUES]
        ]
        raise FhirError(422, code, wrong[0][1], issues=issues)


def _what_is_wrong(reference: _Reference, there: Mapping[str, _Referred]) -> str | None:
    to = there.get(reference.local)
    if to is None:
        return _NOTHING
    is_measured = reference.local.startswith(_MEASURED)
    if is_measured and reference.patients and not to.patients <= reference.patients:
        return _OF_ANOTHER
    is_named = to.body is not None and reference.place.endswith(_SUBJECT)
    if is_named and names_another(reference.display, to.body or {}):
        return _NAMES_ANOTHER
    return None


async def _there(
    store: ResourceStore, own: _Owns, asker: Asker, wanted: Iterable[str], named: set[str]
) -> dict[str, _Referred]:
    """Those that exist, as far as the asker may know of them; ``named``: with their names."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for local in wanted:
        kind, _, resource_id = local.partition("/")
        by_kind[kind].append(resource_id)
    there: dict[str, _Referred] = {}
    for kind, ids in by_kind.items():
        limits = asker.limits_or_none(kind, Interaction.READ)
        patients = None if limits is None else limits.patients
        made = await own.owners(kind, ids)
        there |= {
            f"{kind}/{name}": _Referred(frozenset(of))
            for name, of in made.items()
            if not of or is_within(kind, of, patients)
        }
        for row in await store.resources_by_id(kind, ids, patients=None):
            if row.body is not None and is_within(kind, row.patients, patients):
                is_named = f"{kind}/{row.id}" in named and limits is not None
                body = parsed(whole(row)) if is_named else None
                there[f"{kind}/{row.id}"] = _Referred(frozenset(row.patients), body)
    return there


def _references(node: Any, place: str) -> Iterator[tuple[str, str, str]]:
    """Place, reference and display of each."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                yield f"{place}.{key}", value, str(node.get("display", ""))
            else:
                yield from _references(value, f"{place}.{key}")
    elif isinstance(node, list):
        for at, each in enumerate(node):
            yield from _references(each, f"{place}[{at}]")
