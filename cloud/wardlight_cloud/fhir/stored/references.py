"""References of resources that are written: wrong ones are refused.

Those are dead ends, what is no reference, Observations of another patient than the resource is
about, subjects by which a measurement is not found (subjects.py), and what says two patients at
once: by display, type or identifier beside the reference.

Errors  FhirError 422 with the references at fault
Source  R4 4.0.1 2.3.0 (references)
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.outcome import FhirError, IssueType, outcome_issue
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.displays import names_another
from wardlight_cloud.fhir.stored.index_values import indexed_text, patients_of
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.subjects import (
    OTHER_IDENTIFIER,
    OTHER_TYPE,
    UNREADABLE,
    Token,
    is_looked_at,
    says_another_type,
    token_of,
    tokens_of,
    unfounded_subject,
    wrong_form,
)
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import HasText, ResourceQuery, ResourceStore, TextMatch

_MOST_ISSUES: Final = 20
_MEASURED: Final = "Observation/"
_PATIENT: Final = "Patient/"
_AT_ONCE: Final = 100
_SUBJECT: Final = "Observation.subject"
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


@dataclass(frozen=True, slots=True)
class _Reference:
    """One that leads to something kept here. ``patients``: of the resource that has it."""

    local: str
    place: str
    patients: frozenset[UUID]
    said: Mapping[str, Any]
    is_looked_at: bool

    @property
    def display(self) -> str:
        """The text beside it, of the subject of an Observation."""
        return str(self.said.get("display", "")) if self.place.endswith(_SUBJECT) else ""

    @property
    def token(self) -> Token | None:
        """The identifier beside it, of a Patient."""
        if not self.is_looked_at or not self.local.startswith(_PATIENT):
            return None
        return token_of(self.said)


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
    new: Mapping[str, dict[str, Any] | None],
) -> None:
    """Refuse references to what would be here and is not, and to what is about somebody else.

    ``new``: what the same request writes; None = it is deleted.
    """
    _refuse(list(_wrong_texts(resources, asker.base)), "value")
    found = [
        _Reference(local, place + path, frozenset(patients), said, looked)
        for place, resource in resources
        for patients, looked in [(patients_of(resource, asker.base), is_looked_at(resource))]
        for path, said in _references(resource, resource["resourceType"])
        if (local := local_reference(said["reference"], asker.base)) is not None
        and local.partition("/")[0] in STORED
    ]
    named = {each.local for each in found if each.display or each.token}
    wanted = dict.fromkeys(each.local for each in found if each.local not in new)
    there = await _there(store, own, asker, wanted, named)
    there |= {
        local: _Referred(
            frozenset(patients_of(made, asker.base)), made if local.startswith(_PATIENT) else None
        )
        for local, made in new.items()
        if made is not None
    }
    others = await _of_others(store, asker, found, there)
    wrong = [
        (f"{each.place}.reference", text)
        for each in found
        if (text := _what_is_wrong(each, there, others))
    ]
    _refuse(wrong, "business-rule")


def _refuse(wrong: Sequence[tuple[str, str]], code: IssueType) -> None:
    if not wrong:
        return
    issues = [
        outcome_issue("error", _DEAD if text == _NOTHING else code, text, place)
        for place, text in wrong[:_MOST_ISSUES]
    ]
    of_all: IssueType = code if any(text != _NOTHING for _, text in wrong) else _DEAD
    raise FhirError(422, of_all, wrong[0][1], issues=issues)


def _wrong_texts(
    resources: Sequence[tuple[str, dict[str, Any]]], base: str
) -> Iterator[tuple[str, str]]:
    """Places of what is no reference, or no subject of what is measured."""
    for place, resource in resources:
        if not is_looked_at(resource):
            continue
        text = unfounded_subject(resource, base)
        if text is not None:
            yield f"{place}{_SUBJECT}", text
        for path, said in _references(resource, resource["resourceType"]):
            text = None if text and path == _SUBJECT else wrong_form(said["reference"], base)
            if text is not None:
                yield f"{place}{path}.reference", text


def _what_is_wrong(
    reference: _Reference, there: Mapping[str, _Referred], others: frozenset[Token]
) -> str | None:
    to = there.get(reference.local)
    if to is None:
        return _NOTHING
    is_measured = reference.local.startswith(_MEASURED)
    if is_measured and reference.patients and not to.patients <= reference.patients:
        return _OF_ANOTHER
    if to.body is not None and names_another(reference.display, to.body):
        return _NAMES_ANOTHER
    if reference.is_looked_at and says_another_type(reference.said, reference.local):
        return OTHER_TYPE
    token = reference.token
    if token is None:
        return None
    if to.body is None:
        return UNREADABLE
    is_strange = not _has_token(to.body, token)
    systems = {system for system, _ in tokens_of(to.body)}
    return OTHER_IDENTIFIER if is_strange and (token[0] in systems or token in others) else None


def _has_token(patient: dict[str, Any], token: Token) -> bool:
    return any(token in ((system, value), ("", value)) for system, value in tokens_of(patient))


async def _of_others(
    store: ResourceStore,
    asker: Asker,
    found: Sequence[_Reference],
    there: Mapping[str, _Referred],
) -> frozenset[Token]:
    """Identifiers beside references that other Patients have, of those that the asker may read."""
    limits = asker.limits_or_none("Patient", Interaction.READ)
    bodies = {local: to.body for local, to in there.items() if to.body is not None}
    strange = sorted(
        {
            each.token
            for each in found
            if each.token and each.local in bodies
            if not _has_token(bodies[each.local], each.token)
        }
    )
    known = [pair for body in bodies.values() for pair in tokens_of(body)]
    for begin in range(0, len(strange) if limits is not None else 0, _AT_ONCE):
        assert limits is not None  # noqa: S101 - there is nothing to look for without
        matches = tuple(
            TextMatch(indexed_text(value), indexed_text(system) or None)
            for system, value in strange[begin : begin + _AT_ONCE]
        )
        query = ResourceQuery(
            "Patient", limits.patients, (HasText("identifier", matches),), count=_AT_ONCE
        )
        for row in (await store.resources(query)).rows:
            known += tokens_of(parsed(whole(row)))
    return frozenset(known) | {("", value) for _, value in known}


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


def _references(node: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place of each, and what is said there."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield place, node
        for key, value in node.items():
            yield from _references(value, f"{place}.{key}")
    elif isinstance(node, list):
        for at, each in enumerate(node):
            yield from _references(each, f"{place}[{at}]")
