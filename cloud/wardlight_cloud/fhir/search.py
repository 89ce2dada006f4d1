"""Searches of Observations to store queries; pure functions.

The self link lists the parameters that were honoured.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1 (search), Observation/Patient/Device search parameters
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import SUMMARY, BundleKind, Parameters, bundle_asked_for
from wardlight_cloud.fhir.search_narrowing import narrowed
from wardlight_cloud.fhir.search_table import (
    NEVER_MISSING,
    OF_THE_ANSWER,
    READING_PARAMETERS,
    Draft,
)
from wardlight_cloud.fhir.stored.search_values import MOST_ALTERNATIVES, alternatives
from wardlight_cloud.fhir.vocabulary import MEASURED, Measured
from wardlight_cloud.store.observation_sieve import Sieve
from wardlight_cloud.store.queries import ObservationQuery


@dataclass(frozen=True, slots=True)
class Search:
    """A parsed search: the store's query and the parameters that were honoured."""

    query: ObservationQuery
    honoured: Parameters
    bundle: BundleKind
    matches_nothing: bool = False


_FORMS: Final = frozenset({"_format", "_pretty"})
_MOST_CRITERIA: Final = 50
OBSERVATION_PARAMETERS: Final = {name: each.type for name, each in READING_PARAMETERS.items()}
"""What the CapabilityStatement declares."""

COMPOSITES: Final = tuple(n for n, each in READING_PARAMETERS.items() if each.type == "composite")
"""Parameters of a code and a quantity."""


def observation_search(parameters: Parameters, *, strict: bool) -> Search:
    """Parse an Observation search."""
    draft = Draft()
    honoured = [pair for pair in parameters if _is_known(*pair, strict=strict)]
    if len(honoured) > _MOST_CRITERIA:
        raise invalid(honoured[-1][0], f"a search has at most {_MOST_CRITERIA} parameters")
    _check_quantities(honoured)
    for name, text in honoured:
        _parse(draft, name, text)
    left = narrowed(draft.narrowings)
    query = ObservationQuery(
        patients=_frozen(draft.patients),
        devices=_frozen(draft.devices),
        metrics=_metrics(left.kinds),
        other_units=_other_units(left.kinds),
        times=tuple(draft.times),
        stored=tuple(draft.stored),
        ids=None if draft.ids is None else tuple(sorted(draft.ids)),
        order=draft.order or ("commit" if draft.stored else "newest"),
        count=max(1, draft.count),
        after=draft.after,
        stored_any=draft.stored_any,
        without_ids=tuple(sorted(draft.without_ids)),
        sieve=left.test and Sieve(repr(draft.tested), left.test, left.numbers, left.marks),
    )
    empty = draft.empty or query.metrics == ()
    return Search(query, honoured, _bundle(honoured), matches_nothing=empty)


def _is_known(name: str, text: str, *, strict: bool) -> bool:
    """Whether a parameter is to be followed. 400 for one that must be, and cannot."""
    if name in OF_THE_ANSWER:
        return bool(text)
    if name not in READING_PARAMETERS and not _is_known_with_modifier(name, strict=strict):
        return False
    if not text.strip(","):
        raise invalid(name, "has no value; leave it out, or say what to look for")
    return True


def _is_known_with_modifier(name: str, *, strict: bool) -> bool:
    base = name.partition(":")[0].partition(".")[0]
    if base not in READING_PARAMETERS:
        if base == "_has":
            raise invalid("_has", "is not supported with Observation")
        if (strict and name not in _FORMS) or base in OF_THE_ANSWER:
            raise invalid(name[:64], "this server does not know the parameter")
        return False
    parameter = READING_PARAMETERS[base]
    known = tuple(f":{each}" for each in parameter.modifiers)
    if base not in NEVER_MISSING and parameter.type != "composite":
        known = (*known, ":missing")
    if name[len(base) :] not in known:
        said = f"this server knows {', '.join(known)}" if known else "it takes none"
        raise invalid(name[:64], f"the modifier or chain is not supported; {said}")
    return True


def _parse(draft: Draft, name: str, text: str) -> None:
    if name in OF_THE_ANSWER:
        OF_THE_ANSWER[name](draft, name, "", text)
        return
    if name in READING_PARAMETERS:
        _check_length(READING_PARAMETERS[name].type, name, text)
        READING_PARAMETERS[name].parse(draft, name, "", text)
        return
    base, _, modifier = name.partition(":")
    parameter = READING_PARAMETERS[base]
    _check_length(parameter.type, name, text)
    if modifier != "missing":
        # A type that is the only one says nothing more.
        is_type = modifier in ("Patient", "Device")
        parameter.parse(draft, name, "" if is_type else modifier, text)
        return
    if text not in ("true", "false"):
        raise invalid(name, "use true or false")
    if parameter.missing is not None:
        draft.narrow(parameter.missing(text == "true"), name, text)
    else:
        draft.empty |= text == "true"


def _check_length(kind: str, name: str, text: str) -> None:
    """Refuse a list of codes that is too long before they are looked up."""
    if kind not in ("token", "uri") or name == "_id" or text.count(",") < MOST_ALTERNATIVES:
        return
    if len(alternatives(text)) > MOST_ALTERNATIVES:
        raise invalid(name, f"has more than {MOST_ALTERNATIVES} values; ask in parts")


def _check_quantities(honoured: Parameters) -> None:
    """Refuse too many of all parameters together: each is brought into all units of readings."""
    count = 0
    for name, text in honoured:
        parameter = READING_PARAMETERS.get(name)
        if parameter is not None and parameter.type in ("quantity", "composite"):
            count += len(alternatives(text))
        if count > MOST_ALTERNATIVES:
            raise invalid(name, f"has more than {MOST_ALTERNATIVES} values; ask in parts")


def _bundle(honoured: Parameters) -> BundleKind:
    summary = dict(honoured).get(SUMMARY, "false")
    if summary not in _SUMMARIES:
        raise invalid(SUMMARY, f"use one of {', '.join(_SUMMARIES)}")
    plain = [pair for pair in honoured if pair[0] != SUMMARY or summary == "count"]
    return bundle_asked_for(plain)


_SUMMARIES: Final = ("false", "true", "text", "data", "count")


def _frozen(ids: set[UUID] | None) -> tuple[UUID, ...] | None:
    return None if ids is None else tuple(sorted(ids))


@lru_cache(maxsize=256)  # of sets of our own vocabulary
def _metrics(measured: frozenset[Measured] | None) -> tuple[int, ...] | None:
    return None if measured is None else tuple(sorted({wire for wire, _ in measured}))


@lru_cache(maxsize=256)
def _other_units(measured: frozenset[Measured] | None) -> tuple[Measured, ...]:
    """The named metrics in units that have another code: moles where mass is looked for."""
    if measured is None:
        return ()
    wires = {wire for wire, _ in measured}
    return tuple(sorted({each for each in MEASURED if each[0] in wires} - measured))


def for_read(observation_id: str) -> ObservationQuery:
    """Query of a single Observation."""
    return replace(ObservationQuery(), ids=(observation_id,), count=1)
