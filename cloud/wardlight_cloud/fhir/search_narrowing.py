"""What single parameters ask of readings: kinds of Observations, and tests of what they hold.

Kinds are what series are chosen by; a test looks at one Observation as the store has it, and says
of it what its resource would say. So ``component-code=8480-6`` finds each pressure, also one of
whose systolic side nothing was stored: both sides are in every one.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 search parameters of Observation; 3.1.1.4.10 (token), 3.1.1.4.13 (composite)
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, reduce
from operator import or_
from typing import Final, Literal

from wardlight_cloud.fhir.observation_texts import (
    DAR,
    SIDES,
    STATUS_MARKS,
    UNKNOWN,
    absent_code,
    status,
)
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.parameters import split_values, token
from wardlight_cloud.fhir.search_quantities import Quantities, quantities
from wardlight_cloud.fhir.stored.search_values import alternatives, parts_of, plain
from wardlight_cloud.fhir.vocabulary import (
    MEASURED,
    Measured,
    is_amount,
    measured_by_category,
    measured_by_code,
    profiles_of,
)
from wardlight_cloud.store.observation_rows import Kind
from wardlight_cloud.store.observation_sieve import Hull, Marks, Parts
from wardlight_shared.codes import METRICS
from wardlight_shared.model import ABSENT_BY_CODE

Test = Callable[[int, int, Parts], bool]
"""Of the metric, the time and the numbers of an Observation: see Sieve."""

Where = Literal["value", "component", "combo"]
"""In the Observation itself, in its components, in either."""

STATUS_SYSTEM: Final = "http://hl7.org/fhir/observation-status"

_COMPONENTS: Final = frozenset(
    each for each, metric in MEASURED.items() if metric.component_of is not None
)
OBSERVATIONS: Final = frozenset(MEASURED) - _COMPONENTS
"""What is an Observation of its own."""

_PANEL_OF: Final = {
    METRICS[name].wire: METRICS[metric.component_of].wire
    for name, metric in METRICS.items()
    if metric.component_of is not None
}
_PANELS: Final = frozenset(_PANEL_OF.values())
_SINGLES: Final = frozenset(each for each in OBSERVATIONS if each[0] not in _PANELS)
_OF_PANELS: Final = OBSERVATIONS - _SINGLES
_ALWAYS_THERE: Final = frozenset(SIDES)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What one parameter leaves. ``kinds`` and ``test`` None: all; the others: see Sieve."""

    kinds: frozenset[Measured] | None = None
    test: Test | None = None
    numbers: Mapping[Measured, Hull] | None = None
    marks: Marks | None = None


ALL: Final = Narrowing()
NOTHING: Final = Narrowing(frozenset())


# -- codes


def code(text: str, where: Where, *, is_not: bool) -> Narrowing:
    """``code``, ``component-code``, ``combo-code``, and with ``:not`` all others."""
    coded = frozenset[Measured]().union(
        *(measured_by_code(*token(value)) for value in split_values(text))
    )
    own = coded - _COMPONENTS if where != "component" else frozenset[Measured]()
    inside = frozenset(wire for wire, _ in coded & _COMPONENTS) if where != "value" else frozenset()
    if is_not:
        rest = OBSERVATIONS - own
        if not inside:
            return Narrowing(rest)
        return Narrowing(rest, lambda metric, _, parts: not inside & _shown(metric, parts))
    panels = {_PANEL_OF[wire] for wire in inside}
    kinds = own | frozenset(each for each in _OF_PANELS if each[0] in panels)
    if not inside or inside & _ALWAYS_THERE:
        return Narrowing(kinds)
    return Narrowing(
        kinds,
        lambda metric, _, parts: (
            (metric, parts[0][0].unit) in own or bool(inside & _shown(metric, parts))
        ),
    )


def _shown(metric: int, parts: Parts) -> frozenset[int]:
    """Metrics of the components that the resource has."""
    if metric not in _PANELS:
        return frozenset()
    return _ALWAYS_THERE.union(kind.metric for kind, _ in parts)


def category(text: str, *, is_not: bool) -> Narrowing:
    """Of a category, or of none of these."""
    found = frozenset[Measured]().union(
        *(measured_by_category(*token(value)) for value in split_values(text))
    )
    return Narrowing(OBSERVATIONS - found if is_not else found & OBSERVATIONS)


def profile(text: str, *, is_below: bool) -> Narrowing:
    """That claim a profile, or one below such an address."""
    asked = [plain(value) for value in alternatives(text)]
    return Narrowing(
        frozenset(
            each
            for each in OBSERVATIONS
            for claimed in profiles_of(MEASURED[each], moles=is_amount(each[1]))
            if any(
                claimed == one or (is_below and claimed.startswith(f"{one.rstrip('/')}/"))
                for one in asked
            )
        )
    )


def components_missing(where: Where, *, is_missing: bool) -> Narrowing:
    """With components, or without."""
    if where == "combo":
        return NOTHING if is_missing else ALL
    return Narrowing(_SINGLES if is_missing else _OF_PANELS)


# -- status and absence


def of_status(text: str, *, is_not: bool) -> Narrowing:
    """With a status."""
    asked = [token(value) for value in split_values(text)]
    found = {code.encode() for system, code in asked if system in (None, STATUS_SYSTEM)}
    named = STATUS_MARKS.keys() if (STATUS_SYSTEM, "") in asked else STATUS_MARKS.keys() & found
    wanted = STATUS_MARKS.keys() - named if is_not else frozenset(named)
    if not wanted:
        return NOTHING
    if wanted == STATUS_MARKS.keys():
        return ALL
    return Narrowing(
        test=lambda _, __, parts: _status(_kinds(parts)) in wanted,
        marks=_either([STATUS_MARKS[each] for each in wanted]),
    )


def _either(marks: Sequence[Marks | None]) -> Marks | None:
    """What has one of them; None among them: anything may do."""
    known = [each for each in marks if each is not None]
    if len(known) < len(marks):
        return None
    flags = reduce(or_, [each.flags for each in known], 0)
    if any(each.absents is None for each in known):
        return Marks(flags, None)
    return Marks(flags, tuple(sorted({code for each in known for code in each.absents or ()})))


def _kinds(parts: Parts) -> tuple[Kind, ...]:
    return tuple([kind for kind, _ in parts])


@lru_cache(maxsize=4096)
def _status(kinds: tuple[Kind, ...]) -> bytes:
    return status(kinds, reduce(or_, [kind.flags for kind in kinds]))


def absence(text: str, where: Where, *, is_not: bool) -> Narrowing:
    """With a reason why there is no number."""
    asked = [token(value) for value in split_values(text)]
    codes = {code for system, code in asked if system in (None, DAR)}
    is_any = "" in codes
    return Narrowing(
        test=lambda metric, _, parts: (
            any(is_any or each in codes for each in _reasons(metric, parts, where)) is not is_not
        ),
        marks=None if is_not else _missing_for(None if is_any else codes, where),
    )


def absence_missing(where: Where, *, is_missing: bool) -> Narrowing:
    """With no such reason, or with any."""
    return Narrowing(
        test=lambda metric, _, parts: (not _reasons(metric, parts, where)) is is_missing,
        marks=None if is_missing else _missing_for(None, where),
    )


def _missing_for(codes: Collection[str] | None, where: Where) -> Marks | None:
    """Marks of what has one of these reasons (None = any). None: no row may say so."""
    if where != "value" and (codes is None or UNKNOWN in codes):
        return None  # a side of which nothing was stored
    if codes is None or UNKNOWN in codes:
        return Marks(0, None)  # also what a newer gateway may know
    wires = range(1, len(ABSENT_BY_CODE))
    return Marks(0, tuple(each for each in wires if absent_code(each) in codes))


def _reasons(metric: int, parts: Parts, where: Where) -> list[str]:
    """Codes of dataAbsentReason in the resource."""
    is_panel = metric in _PANELS
    if where == ("value" if is_panel else "component"):
        return []
    found = [absent_code(kind.absent) for kind, _ in parts if kind.absent]
    if is_panel and not {kind.metric for kind, _ in parts} >= _ALWAYS_THERE:
        found.append(UNKNOWN)
    return found


# -- numbers


def quantity(name: str, text: str, where: Where) -> Narrowing:
    """``value-quantity``, ``component-value-quantity``, ``combo-value-quantity``."""
    return _numbers([(frozenset(MEASURED), quantities(name, alternatives(text)))], where)


def code_and_quantity(name: str, text: str, where: Where) -> Narrowing:
    """The composites: ``code$quantity``, both of the same part."""
    pairs = []
    for value in alternatives(text):
        pair = parts_of(value, "$")
        if len(pair) != 2 or not all(pair):
            raise invalid(name, "write it as code$quantity, for instance 8480-6$gt140")
        pairs.append((measured_by_code(*token(plain(pair[0]))), quantities(name, [pair[1]])))
    return _numbers(pairs, where)


def quantity_missing(where: Where, *, is_missing: bool) -> Narrowing:
    """With no number at all in that place, or with one."""

    def has_number(metric: int, _: int, parts: Parts) -> bool:
        if where == ("value" if metric in _PANELS else "component"):
            return is_missing
        return any(not kind.absent for kind, _ in parts) is not is_missing

    return Narrowing(test=has_number)


def _numbers(pairs: Sequence[tuple[frozenset[Measured], Quantities]], where: Where) -> Narrowing:
    """One of the alternatives: of what is measured so, a number so."""
    place = {"value": _SINGLES, "component": _COMPONENTS, "combo": _SINGLES | _COMPONENTS}[where]
    meant: dict[Measured, list[Quantities]] = {}
    for measured, found in pairs:
        for each in measured & place:
            if each[1] in found.units():
                meant.setdefault(each, []).append(found)
    panels = {_PANEL_OF[wire] for wire, _ in meant if wire in _PANEL_OF}
    kinds = frozenset(meant) & _SINGLES | frozenset(e for e in _OF_PANELS if e[0] in panels)
    hulls = {each: _hull([one.hull(each[1]) for one in found]) for each, found in meant.items()}

    def has_number(_: int, __: int, parts: Parts) -> bool:
        return any(
            not kind.absent and _holds(meant.get((kind.metric, kind.unit), ()), kind, mantissa)
            for kind, mantissa in parts
        )

    return Narrowing(kinds, has_number, hulls)


def _holds(found: Sequence[Quantities], kind: Kind, mantissa: int) -> bool:
    number = mantissa * Fraction(10) ** kind.scale
    return any(
        interval.holds(number)
        for one in found
        for unit, intervals in one.of_unit
        if unit == kind.unit
        for interval in intervals
    )


def _hull(found: Sequence[Hull]) -> Hull:
    lows, highs = zip(*found, strict=True)
    return None if None in lows else min(lows), None if None in highs else max(highs)


# -- all of a search


def narrowed(found: Sequence[Narrowing]) -> Narrowing:
    """What all of them leave."""
    if len(found) == 1:
        return found[0]
    made = ALL
    tests: list[Test] = []
    for each in found:
        if each.kinds is not None:
            kinds = each.kinds if made.kinds is None else made.kinds & each.kinds
            made = replace(made, kinds=kinds)
        if each.test is not None:
            tests.append(each.test)
        if made.numbers is None and each.numbers is not None:
            made = replace(made, numbers=each.numbers)
        if made.marks is None and each.marks is not None:
            made = replace(made, marks=each.marks)
    if not tests:
        return made
    return replace(made, test=lambda *one: all(test(*one) for test in tests))
