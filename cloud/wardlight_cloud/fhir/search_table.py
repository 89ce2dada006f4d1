"""The search parameters of Observation, as readings are searched by them: one table.

Each value narrows a Draft, out of which search.py makes a query of the store.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 search parameters of Observation; 3.1.1.4 (types, modifiers, prefixes)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID

from wardlight_cloud.fhir import search_narrowing as narrowing
from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.observation import IDENTIFIER_SYSTEM
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import COUNT_DEFAULT, CURSOR, SUMMARY, TOTAL, count, cursor_bytes
from wardlight_cloud.fhir.parameters import reference_id, split_values, token
from wardlight_cloud.fhir.remembered import remembered
from wardlight_cloud.fhir.search_moments import Span, bounds_of, spans, together, us_of
from wardlight_cloud.fhir.search_narrowing import Narrowing, Where
from wardlight_cloud.store.queries import TimeBound

Order = Literal["newest", "oldest", "commit", "latest"]
_ORDERS: Final[dict[str, Order]] = {
    "-date": "newest",
    "date": "oldest",
    "_lastUpdated": "commit",
    "-_lastUpdated": "latest",
}


@dataclass(slots=True)
class Draft:
    """A search while its parameters are read; each narrows it further."""

    patients: set[UUID] | None = None
    devices: set[UUID] | None = None
    narrowings: list[Narrowing] = field(default_factory=list)
    tested: list[str] = field(default_factory=list)
    ids: set[str] | None = None
    without_ids: set[str] = field(default_factory=set)
    times: list[TimeBound] = field(default_factory=list)
    stored: list[TimeBound] = field(default_factory=list)
    stored_any: tuple[tuple[TimeBound, ...], ...] = ()
    order: Order | None = None
    count: int = COUNT_DEFAULT
    after: bytes | None = None
    empty: bool = False

    def narrow(self, narrowing: Narrowing, name: str, text: str) -> None:
        """One more; ``name`` and ``text``: what it comes from."""
        self.narrowings.append(narrowing)
        if narrowing.test is not None:
            self.tested.append(f"{name}={text}")


Parse = Callable[[Draft, str, str, str], None]
"""Of the draft, a name, its modifier without the colon, and a text."""


def _patients(draft: Draft, name: str, modifier: str, text: str) -> None:
    if modifier == "identifier":  # a reference of ours has none
        draft.empty = True
        return
    found = {reference_id(name, value, "Patient") for value in split_values(text)} - {None}
    ids = {value for value in found if value is not None}
    draft.patients = ids if draft.patients is None else draft.patients & ids
    draft.empty |= not draft.patients


def _devices(draft: Draft, name: str, modifier: str, text: str) -> None:
    if modifier == "identifier":
        draft.empty = True
        return
    found = {reference_id(name, value, "Device") for value in split_values(text)}
    ids = {value for value in found if value is not None}
    draft.devices = ids if draft.devices is None else draft.devices & ids
    draft.empty |= not draft.devices


# Clients ask for the same codes and days over and over, of one patient after the other.
_cached: Final = remembered(256)


@_cached
def _coded(text: str, where: Where, is_not: str | None) -> Narrowing:
    return narrowing.code(text, where, is_not=is_not is not None)


@_cached
def _categorised(text: str, is_not: str | None) -> Narrowing:
    return narrowing.category(text, is_not=is_not is not None)


def _code(where: Where) -> Parse:
    def parse(draft: Draft, name: str, modifier: str, text: str) -> None:
        draft.narrow(_coded(text, where, modifier or None), f"{name}:{modifier}", text)

    return parse


def _category(draft: Draft, name: str, modifier: str, text: str) -> None:
    draft.narrow(_categorised(text, modifier or None), name, text)


def _profile(draft: Draft, name: str, modifier: str, text: str) -> None:
    draft.narrow(narrowing.profile(text, is_below=bool(modifier)), name, text)


def _status(draft: Draft, name: str, modifier: str, text: str) -> None:
    draft.narrow(narrowing.of_status(text, is_not=bool(modifier)), f"{name}:{modifier}", text)


def _absence(where: Where) -> Parse:
    def parse(draft: Draft, name: str, modifier: str, text: str) -> None:
        found = narrowing.absence(text, where, is_not=bool(modifier))
        draft.narrow(found, f"{name}:{modifier}", text)

    return parse


def _quantity(where: Where) -> Parse:
    def parse(draft: Draft, name: str, _: str, text: str) -> None:
        draft.narrow(narrowing.quantity(name, text, where), name, text)

    return parse


def _composite(where: Where) -> Parse:
    def parse(draft: Draft, name: str, _: str, text: str) -> None:
        draft.narrow(narrowing.code_and_quantity(name, text, where), name, text)

    return parse


def _identifier(draft: Draft, name: str, modifier: str, text: str) -> None:
    """The identifier of an Observation is its id."""
    asked = [token(value) for value in split_values(text)]
    if (IDENTIFIER_SYSTEM, "") in asked:
        draft.empty |= bool(modifier)
        return
    ids = [code for system, code in asked if system in (None, IDENTIFIER_SYSTEM)]
    _of_ids(draft, modifier, ids)


def _ids(draft: Draft, _: str, modifier: str, text: str) -> None:
    _of_ids(draft, modifier, split_values(text))


def _of_ids(draft: Draft, modifier: str, ids: Sequence[str]) -> None:
    if modifier:
        draft.without_ids |= set(ids)
        return
    draft.ids = set(ids) if draft.ids is None else draft.ids & set(ids)
    draft.empty |= not draft.ids


_cached_bounds: Final = _cached(bounds)


def _is_plain(text: str) -> bool:
    """Whether a date is one interval, as almost all are."""
    return "," not in text and text[:2] not in ("ne", "ap")


def _spans(draft: Draft, name: str, text: str, narrowed: list[TimeBound]) -> tuple[Span, ...]:
    """What a date covers: its ends go to ``narrowed``, and it is returned where it has gaps."""
    text = text.replace(" ", "+")  # a "+" that a client did not escape
    try:
        if _is_plain(text):
            narrowed += _cached_bounds(text)
            return ()
        found = together([span for value in text.split(",") if value for span in spans(value)])
    except ValueError as error:
        raise invalid(name, str(error)) from error
    if not found:
        draft.empty = True
        return ()
    narrowed += bounds_of((found[0][0], found[-1][1]))
    return found if len(found) > 1 else ()


def _date(draft: Draft, name: str, _: str, text: str) -> None:
    found = _spans(draft, name, text, draft.times)
    if found:
        edges = [(us_of(low), us_of(high)) for low, high in found]
        draft.narrow(
            Narrowing(test=lambda _, time, __: any(low <= time < high for low, high in edges)),
            name, text,
        )  # fmt: skip


def _last_updated(draft: Draft, name: str, _: str, text: str) -> None:
    found = _spans(draft, name, text, draft.stored)
    if found:
        if draft.stored_any:
            raise invalid(name, "can be given once with several alternatives")
        draft.stored_any = tuple(bounds_of(span) for span in found)


def _sort(draft: Draft, name: str, _: str, text: str) -> None:
    if text not in _ORDERS:
        raise invalid(name, f"use one of {', '.join(_ORDERS)}")
    draft.order = _ORDERS[text]


def _count(draft: Draft, name: str, _: str, text: str) -> None:
    draft.count = count(name, text)


def _after(draft: Draft, _: str, __: str, text: str) -> None:
    draft.after = cursor_bytes(text)


def _part_of_the_answer(_: Draft, __: str, ___: str, ____: str) -> None:
    """Read by others."""


@dataclass(frozen=True, slots=True)
class ReadingParameter:
    """One parameter.

    ``missing``: what ``:missing=true`` and ``false`` leave; None = it is in every reading.
    """

    type: str
    parse: Parse
    modifiers: tuple[str, ...] = ()
    missing: Callable[[bool], Narrowing] | None = None


def _token(parse: Parse, missing: Callable[[bool], Narrowing] | None = None) -> ReadingParameter:
    return ReadingParameter("token", parse, ("not",), missing)


def _components(where: Where) -> Callable[[bool], Narrowing]:
    return lambda is_missing: narrowing.components_missing(where, is_missing=is_missing)


def _no_reason(where: Where) -> Callable[[bool], Narrowing]:
    return lambda is_missing: narrowing.absence_missing(where, is_missing=is_missing)


def _no_number(where: Where) -> Callable[[bool], Narrowing]:
    return lambda is_missing: narrowing.quantity_missing(where, is_missing=is_missing)


READING_PARAMETERS: Final[dict[str, ReadingParameter]] = {
    "patient": ReadingParameter("reference", _patients, ("Patient", "identifier")),
    "subject": ReadingParameter("reference", _patients, ("Patient", "identifier")),
    "device": ReadingParameter("reference", _devices, ("Device", "identifier")),
    "code": _token(_code("value")),
    "component-code": _token(_code("component"), _components("component")),
    "combo-code": _token(_code("combo")),
    "category": _token(_category),
    "status": _token(_status),
    "identifier": _token(_identifier),
    "data-absent-reason": _token(_absence("value"), _no_reason("value")),
    "component-data-absent-reason": _token(_absence("component"), _no_reason("component")),
    "combo-data-absent-reason": _token(_absence("combo"), _no_reason("combo")),
    "value-quantity": ReadingParameter("quantity", _quantity("value"), (), _no_number("value")),
    "component-value-quantity": ReadingParameter(
        "quantity", _quantity("component"), (), _no_number("component")
    ),
    "combo-value-quantity": ReadingParameter(
        "quantity", _quantity("combo"), (), _no_number("combo")
    ),
    "code-value-quantity": ReadingParameter("composite", _composite("value")),
    "component-code-value-quantity": ReadingParameter("composite", _composite("component")),
    "combo-code-value-quantity": ReadingParameter("composite", _composite("combo")),
    "date": ReadingParameter("date", _date),
    "_lastUpdated": ReadingParameter("date", _last_updated),
    "_id": ReadingParameter("token", _ids, ("not",)),
    "_profile": ReadingParameter("uri", _profile, ("below",)),
}
NEVER_MISSING: Final = frozenset({"_lastUpdated", "_id"})
"""``:missing`` says nothing about these, and R4 has it for no composite."""

OF_THE_ANSWER: Final[dict[str, Parse]] = {
    "_sort": _sort,
    "_count": _count,
    SUMMARY: _part_of_the_answer,
    TOTAL: _part_of_the_answer,
    CURSOR: _after,
}
"""Parameters about the answer, which say nothing of what is found."""
