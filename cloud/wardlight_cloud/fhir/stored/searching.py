"""Searches of stored resources: parameters to a query of the store and the form of the answer.

Errors  FhirError 400 with the parameter at fault; 403
Source  R4 4.0.1 3.1.1
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import (
    COUNT_DEFAULT,
    CURSOR,
    SUMMARY,
    TOTAL,
    BundleKind,
    Parameters,
    count,
    cursor_bytes,
)
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.conditions import Known
from wardlight_cloud.fhir.stored.including import Inclusion, inclusion
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS
from wardlight_cloud.store.queries import TimeBound
from wardlight_cloud.store.resources import ResourceQuery

LAST_UPDATED: Final = "_lastUpdated"
ELEMENTS: Final = "_elements"
INCLUDE: Final = "_include"
REVINCLUDE: Final = "_revinclude"
SORT: Final = "_sort"
OF_THE_ANSWER: Final = frozenset(
    {"_count", SORT, SUMMARY, TOTAL, ELEMENTS, INCLUDE, REVINCLUDE, CURSOR}
)
_FORMS: Final = frozenset({"_format", "_pretty"})
_MOST_CRITERIA: Final = 50

Summary = Literal["false", "true", "text", "data", "count"]
_SUMMARIES: Final[dict[str, Summary]] = {
    "false": "false", "true": "true", "text": "text", "data": "data", "count": "count",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What the answer holds of each resource; ``elements`` empty = all."""

    summary: Summary = "false"
    elements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredSearch:
    """A parsed search; ``honoured`` stands in the self link."""

    query: ResourceQuery
    honoured: Parameters
    bundle: BundleKind
    shape: Shape
    inclusions: tuple[Inclusion, ...]


def stored_search(
    asker: Asker, kind: str, given: Parameters, *, strict: bool, known: Known | None = None
) -> StoredSearch:
    """Parse a search of one kind; ``known``: conditions that were looked up before."""
    criteria = asker.criteria(known)
    limits = asker.limits(kind)
    conditions = list(limits.conditions)
    stored: list[TimeBound] = []
    honoured: list[tuple[str, str]] = []
    answer: dict[str, str] = {}
    inclusions: list[Inclusion] = []
    for raw_name, text in given:
        name = _INCLUDES.get(raw_name, raw_name)
        base_name = name.partition(":")[0]
        if name in _FORMS:
            continue
        if base_name in (INCLUDE, REVINCLUDE):
            inclusions.append(inclusion(base_name, name.partition(":")[2], text))
        elif name in OF_THE_ANSWER:
            if not text:
                continue
            answer[name] = text
        elif name == LAST_UPDATED:
            stored += _stored(name, text)
        elif criteria.knows(kind, name):
            if len(conditions) > _MOST_CRITERIA:
                raise invalid(name, f"a search has at most {_MOST_CRITERIA} criteria")
            conditions.append(criteria.condition(kind, name, text))
        elif strict:
            raise invalid(name[:64], f"{kind} has no such search parameter here")
        else:
            continue
        honoured.append((raw_name, text))
    sort, descending = _sort(kind, answer.get(SORT), has_stored=bool(stored))
    query = ResourceQuery(
        kind, limits.patients, tuple(conditions), tuple(stored), sort, descending,
        max(1, count("_count", answer.get("_count", str(COUNT_DEFAULT)))),
        cursor_bytes(answer[CURSOR]) if CURSOR in answer else None,
    )  # fmt: skip
    return StoredSearch(query, honoured, _bundle(answer), _shape(answer), tuple(inclusions))


_INCLUDES: Final = {
    "_include:recurse": "_include:iterate",
    "_revinclude:recurse": "_revinclude:iterate",
}


def _stored(name: str, text: str) -> Sequence[TimeBound]:
    if "," in text:
        raise invalid(name, "a comma list of dates is not supported; repeat the parameter")
    try:
        return bounds(text.replace(" ", "+"))
    except ValueError as error:
        raise invalid(name, str(error)) from error


def _sort(kind: str, text: str | None, *, has_stored: bool) -> tuple[str, bool]:
    if text is None:
        return (LAST_UPDATED, False) if has_stored else ("", False)
    name = text.removeprefix("-")
    descending = name != text
    if name == LAST_UPDATED:
        return name, descending
    if name in sorts(kind):
        return f"{kind}.{name}", descending
    known = ", ".join((LAST_UPDATED, *sorts(kind)))
    raise invalid(SORT, f"use one of {known}, with - before it for the latest first")


def sorts(kind: str) -> tuple[str, ...]:
    """Parameters that a kind can be sorted by, beside _lastUpdated."""
    return tuple(each.name for each in SEARCH_PARAMETERS[kind].values() if each.type == "date")


def _bundle(answer: dict[str, str]) -> BundleKind:
    total = answer.get(TOTAL, "none")
    if total not in ("none", "estimate", "accurate"):
        raise invalid(TOTAL, "use none, estimate or accurate")
    if answer.get(SUMMARY) == "count" or answer.get("_count") == "0":
        return BundleKind.TOTAL
    return BundleKind.PAGE if total == "none" else BundleKind.BOTH


def _shape(answer: dict[str, str]) -> Shape:
    summary = answer.get(SUMMARY, "false")
    if summary not in _SUMMARIES:
        raise invalid(SUMMARY, f"use one of {', '.join(_SUMMARIES)}")
    names = tuple(name.strip() for name in answer.get(ELEMENTS, "").split(",") if name.strip())
    if not all(name.isalnum() and name.isascii() for name in names):
        raise invalid(ELEMENTS, "name elements of the resource, with commas between them")
    return Shape(_SUMMARIES[summary], names)
