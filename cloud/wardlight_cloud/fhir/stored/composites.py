"""Composite parameters of stored Observations: a code and a quantity of the same part.

The index has codes and quantities of a resource, and not which of them stand together. So it finds
what has both, and each such resource is looked at.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1.4.13; search parameters of Observation
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.comparing import compares
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.stored.search_values import (
    MOST_ALTERNATIVES,
    alternatives,
    parts_of,
    quantity_matches,
    token_matches,
)
from wardlight_cloud.store.resources import (
    AnyOf,
    Condition,
    HasRange,
    HasText,
    IndexValue,
    RangeMatch,
    RangeValue,
    ResourceRow,
    TextMatch,
    TextValue,
)

_NAMES: Final = {
    "code-value-quantity": ("code", "value-quantity"),
    "component-code-value-quantity": ("component-code", "component-value-quantity"),
    "combo-code-value-quantity": ("combo-code", "combo-value-quantity"),
}
COMPOSITES: Final = tuple(_NAMES)
_VALUES: Final = ("valueQuantity", "valueSampledData")

Takes = Callable[[ResourceRow], bool]


def composite(name: str, text: str, base: str) -> tuple[Condition, Takes]:
    """What the index is asked for, and what is looked at in each resource."""
    of_code, of_value = _NAMES[name]
    pairs = [_pair(name, value) for value in alternatives(text)]
    if not 0 < len(pairs) <= MOST_ALTERNATIVES:
        raise invalid(name, f"takes 1 to {MOST_ALTERNATIVES} values")
    sets = tuple((HasText(of_code, code), HasRange(of_value, value)) for code, value in pairs)

    def takes(row: ResourceRow) -> bool:
        return any(
            _has_text(index, code) and _has_range(index, value)
            for part in _parts(name, parsed(whole(row)))
            for index in [index_values({"resourceType": "Observation", **part}, base)]
            for code, value in pairs
        )

    return AnyOf(sets), takes


def _pair(name: str, text: str) -> tuple[tuple[TextMatch, ...], tuple[RangeMatch, ...]]:
    pair = parts_of(text, "$")
    if len(pair) != 2 or not all(pair):
        raise invalid(name, "write it as code$quantity, for instance 8480-6$gt140")
    return tuple(token_matches(name, pair[0])), tuple(quantity_matches(name, pair[1]))


def _parts(name: str, resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Code and value of the resource, and of its components, each as if it were one."""
    parts = [] if name.startswith("component") else [resource]
    if not name.startswith("code"):
        parts += resource.get("component", [])
    for part in parts:
        yield {key: part[key] for key in ("code", *_VALUES) if key in part}


def _has_text(index: Sequence[IndexValue], matches: Sequence[TextMatch]) -> bool:
    return any(
        match.value in (None, value.value) and match.system in (None, value.system)
        for value in index
        if isinstance(value, TextValue) and value.param == "code"
        for match in matches
    )


def _has_range(index: Sequence[IndexValue], matches: Sequence[RangeMatch]) -> bool:
    return any(
        compares(match, value)
        for value in index
        if isinstance(value, RangeValue) and value.param == "value-quantity"
        for match in matches
    )
