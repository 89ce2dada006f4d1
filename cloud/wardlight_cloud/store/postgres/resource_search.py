"""Searches of stored resources as statements: conditions of resources_search.sql, put together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import (
    AnyOf,
    Condition,
    HasAny,
    HasId,
    HasRange,
    HasText,
    IsReferredTo,
    RangeMatch,
    RefersTo,
    ResourceQuery,
    TextMatch,
)

_SQL: Final = statements("resources_search")
_LAST_CHARACTER: Final = chr(0x10FFFF)
_COMPARISONS: Final = {
    "eq": "range_eq", "ne": "range_ne", "lt": "range_lt", "gt": "range_gt", "le": "range_le",
    "ge": "range_ge", "sa": "range_sa", "eb": "range_eb", "ap": "range_ap",
}  # fmt: skip
_ALL: Final = "true"
_NONE: Final = "false"


@dataclass(slots=True)
class Statement:
    """A statement with its arguments."""

    text: str = ""
    arguments: list[Any] = field(default_factory=list)

    def filled(self, name: str, made: dict[str, str] | None = None, **values: object) -> str:
        """The named text with arguments at their places, and conditions that were made before."""
        text = _SQL[name]
        for key, value in values.items():
            self.arguments.append(value)
            text = text.replace(f":{key}", f"${len(self.arguments)}")
        for key, condition in (made or {}).items():
            text = text.replace(f":{key}", condition)
        return text


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins. ``low`` None in a search by intervals: among those without one."""

    key: int
    commit_seq: int = 0
    low: Decimal | None = None


def search(
    query: ResourceQuery, commits: tuple[int, int] | None, after: Place | None, limit: int
) -> Statement:
    """The statement of a page; ``query.sort`` decides which, and for one by intervals ``after``."""
    made = Statement()
    where = _wanted(made, query, commits)
    values: dict[str, object] = {"limit": limit}
    if query.sort == "":
        name = "search_by_creation"
        where += [] if after is None else [made.filled("after_key", key=after.key)]
    elif query.sort == "_lastUpdated":
        name = "search_by_commit_descending" if query.descending else "search_by_commit"
        if after is not None:
            beyond = "before_commit" if query.descending else "after_commit"
            where.append(made.filled(beyond, commit=after.commit_seq, key=after.key))
    else:
        name = "search_by_range_descending" if query.descending else "search_by_range"
        values["sort"] = query.sort
        if after is not None and after.low is not None:
            beyond = "before_low" if query.descending else "after_low"
            where.append(made.filled(beyond, low=after.low, key=after.key))
    made.text = made.filled(name, _places(query, where), **values)
    return made


def _places(query: ResourceQuery, where: Sequence[str]) -> dict[str, str]:
    return {"where": " AND ".join(where), "apart": "" if query.patients is None else " + 0"}


def search_without_range(
    query: ResourceQuery, commits: tuple[int, int] | None, after: int, limit: int
) -> Statement:
    """The statement of a page among those that have no interval to be sorted by."""
    made = Statement()
    where = _wanted(made, query, commits)
    where.append(made.filled("without_range", sort=query.sort))
    where.append(made.filled("after_key", key=after))
    made.text = made.filled("search_by_creation", _places(query, where), limit=limit)
    return made


def count(query: ResourceQuery, commits: tuple[int, int] | None) -> Statement:
    """The statement that counts what a search finds."""
    made = Statement()
    made.text = made.filled("count_found", {"where": " AND ".join(_wanted(made, query, commits))})
    return made


def _wanted(made: Statement, query: ResourceQuery, commits: tuple[int, int] | None) -> list[str]:
    where = _of(made, query.kind, query.patients)
    if commits is not None:
        where.append(made.filled("in_commits", first=commits[0], last=commits[1]))
    return where + [_condition(made, query.kind, each) for each in query.conditions]


def _of(made: Statement, kind: str, patients: tuple[UUID, ...] | None) -> list[str]:
    where = [made.filled("of_kind", kind=kind)]
    if patients is not None:
        where.append(made.filled("of_patients", patients=list(patients)))
    return where


def _condition(made: Statement, kind: str, condition: Condition) -> str:
    match condition:
        case HasText():
            return _has_text(made, f"{kind}.{condition.param}", condition)
        case HasRange():
            alternatives = " OR ".join(_range(made, each) for each in condition.any_of) or _NONE
            param = f"{kind}.{condition.param}"
            return made.filled("has_range", {"any": alternatives}, param=param)
        case HasAny():
            found = made.filled("has_any", param=f"{kind}.{condition.param}")
            return f"NOT {found}" if condition.negated else found
        case HasId():
            name = "has_no_id" if condition.negated else "has_id"
            return made.filled(name, ids=list(condition.ids))
        case RefersTo():
            found = _nested(made, "references_found", condition)
            param = f"{kind}.{condition.param}"
            return made.filled("refers_to", {"found": found}, param=param)
        case IsReferredTo():
            found = _nested(made, "keys_found", condition)
            param = f"{condition.kind}.{condition.param}"
            return made.filled("is_referred_to", {"found": found}, param=param)
        case AnyOf():
            return _any_of(made, kind, condition.sets)


def _any_of(made: Statement, kind: str, sets: Sequence[Sequence[Condition]]) -> str:
    found = [" AND ".join([_ALL, *(_condition(made, kind, each) for each in one)]) for one in sets]
    return f"({' OR '.join(f'({each})' for each in found) or _NONE})"


def _nested(made: Statement, name: str, condition: RefersTo | IsReferredTo) -> str:
    where = _of(made, condition.kind, condition.patients)
    where += [_condition(made, condition.kind, each) for each in condition.conditions]
    return made.filled(name, {"where": " AND ".join(where)})


def _range(made: Statement, match: RangeMatch) -> str:
    name = _COMPARISONS[match.op]
    ends = {end: getattr(match, end) for end in ("low", "high") if f":{end}" in _SQL[name]}
    return made.filled(name, unit=match.unit, **ends)


def _has_text(made: Statement, param: str, condition: HasText) -> str:
    equal: dict[str | None, list[str]] = defaultdict(list)
    found = []
    for match in condition.any_of:
        if match.how == "equal" and match.value is not None:
            equal[match.system].append(match.value)
        else:
            found.append(_text(made, match))
    for system, values in equal.items():
        if system is None:
            found.append(made.filled("is_value", values=values))
        else:
            found.append(made.filled("is_value_of_system", system=system, values=values))
    name = "has_no_text" if condition.negated else "has_text"
    name = "has_other_text" if condition.is_other else name
    return made.filled(name, {"any": " OR ".join(found) or _NONE}, param=param)


def _text(made: Statement, match: TextMatch) -> str:
    if match.value is None:
        return _ALL if match.system is None else made.filled("is_system", system=match.system)
    if match.how == "prefix":
        last = match.value + _LAST_CHARACTER
        found = made.filled("begins", first=match.value, last=last)
    else:
        found = made.filled("contains", value=match.value)
    if match.system is None:
        return found
    return made.filled("of_this_system", {"of": found}, system=match.system)
