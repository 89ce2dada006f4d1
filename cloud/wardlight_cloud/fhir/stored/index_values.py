"""What a resource is found by: values of its search parameters, as the store's index keeps them.

In      a resource as JSON values, checked before
Out     TextValues and RangeValues, each once; what cannot be indexed (a reference by display
        alone) has none

A text longer than INDEXED_MAX stands in the index as its beginning and the hash of all of it;
strings are cut. Primitive codes have the system ANY_SYSTEM: theirs is fixed by the element.

Source  R4 4.0.1 3.1.1.4 (how each type of parameter reads each type of element)
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.stored.elements import elements
from wardlight_cloud.fhir.stored.moments import interval
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS, SearchParameter
from wardlight_cloud.fhir.stored.units import UCUM, in_base_unit
from wardlight_cloud.store.resources import IndexValue, RangeValue, TextValue

INDEXED_MAX: Final = 200
ANY_SYSTEM: Final = "*"
IDENTIFIER: Final = ":identifier"
_HASH_PREFIX: Final = 120
_SPACE: Final = re.compile(r"\s+")
_NAME_PARTS: Final = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS: Final = ("line", "city", "district", "state", "country", "postalCode", "text")
_PATIENT: Final = re.compile(r"Patient/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def index_values(resource: dict[str, Any], base: str) -> tuple[IndexValue, ...]:
    """All values of a resource; ``base``: the address that makes a reference one of ours."""
    found: dict[IndexValue, None] = {}
    for parameter in SEARCH_PARAMETERS[resource["resourceType"]].values():
        for path in parameter.paths:
            for element in elements(resource, path):
                found |= dict.fromkeys(_VALUES[parameter.type](parameter, element, base))
    return tuple(found)


def patients_of(resource: dict[str, Any], base: str) -> tuple[UUID, ...]:
    """The patients that a resource is about or refers to anywhere; a Patient: itself."""
    if resource["resourceType"] == "Patient":
        return (UUID(resource["id"]),)
    found = (_PATIENT.fullmatch(local_reference(text, base) or "") for text in references(resource))
    return tuple(sorted({UUID(match[1]) for match in found if match is not None}))


def references(node: Any) -> Iterator[str]:
    """Every literal reference in a resource, and in what it contains."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def indexed_text(text: str) -> str:
    """A text as it stands in the index."""
    if len(text) <= INDEXED_MAX:
        return text
    return text[:_HASH_PREFIX] + hashlib.sha256(text.encode()).hexdigest()


def folded(text: str) -> str:
    """A string as searches compare it: without marks of letters, case and spaces around."""
    plain = "".join(
        each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each)
    )
    return _SPACE.sub(" ", plain).strip().lower()[:INDEXED_MAX]


def _tokens(parameter: SearchParameter, element: Any, _: str) -> Iterator[IndexValue]:
    for system, code in _codes(element):
        yield TextValue(parameter.name, indexed_text(code), indexed_text(system))


def _codes(element: Any) -> Iterator[tuple[str, str]]:
    match element:
        case bool():
            yield ANY_SYSTEM, "true" if element else "false"
        case str():
            yield ANY_SYSTEM, element
        case {"coding": list(codings)}:
            for coding in codings:
                yield from _codes(coding)
        case {"code": str(code)}:
            yield _text(element.get("system")), code
        case {"value": str(value)}:
            # A ContactPoint says phone, email; that is no system of its value.
            is_contact = element.get("system") in _CONTACTS
            yield ANY_SYSTEM if is_contact else _text(element.get("system")), value


_CONTACTS: Final = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strings(parameter: SearchParameter, element: Any, _: str) -> Iterator[IndexValue]:
    for text in _plain_strings(element):
        value = folded(text)
        if value:
            yield TextValue(parameter.name, value, text[:INDEXED_MAX])


def _plain_strings(element: Any) -> Iterator[str]:
    if isinstance(element, str):
        yield element
    elif isinstance(element, dict):
        for part in (*_NAME_PARTS, *_ADDRESS_PARTS[:-1]):
            value = element.get(part)
            for each in value if isinstance(value, list) else (value,):
                if isinstance(each, str):
                    yield each


def _uris(parameter: SearchParameter, element: Any, _: str) -> Iterator[IndexValue]:
    if isinstance(element, str):
        yield TextValue(parameter.name, indexed_text(element))


def _references(parameter: SearchParameter, element: Any, base: str) -> Iterator[IndexValue]:
    if isinstance(element, str):  # a canonical
        yield TextValue(parameter.name, indexed_text(element))
        yield TextValue(parameter.name, indexed_text(element.partition("|")[0]))
        return
    if not isinstance(element, dict):
        return
    reference, identifier = element.get("reference"), element.get("identifier")
    if isinstance(reference, str) and not reference.startswith("#"):
        local = local_reference(reference, base)
        kind = None if local is None else local.partition("/")[0]
        if parameter.targets is None or kind is None or kind in parameter.targets:
            yield TextValue(parameter.name, indexed_text(local or reference))
    if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
        system = indexed_text(_text(identifier.get("system")))
        yield TextValue(parameter.name + IDENTIFIER, indexed_text(identifier["value"]), system)


def _dates(parameter: SearchParameter, element: Any, _: str) -> Iterator[IndexValue]:
    for low, high in _intervals(element):
        yield RangeValue(parameter.name, low, high)


def _intervals(element: Any) -> Iterator[tuple[Decimal | None, Decimal | None]]:
    match element:
        case str():
            # A validated date; a Timing as a string ("after breakfast") is none.
            try:
                yield interval(element)
            except ValueError:
                return
        case {"start": str()} | {"end": str()}:
            low = element.get("start")
            high = element.get("end")
            yield (
                None if low is None else interval(low)[0],
                None if high is None else interval(high)[1],
            )
        case {"event": list(events)}:
            for event in events:
                yield from _intervals(event)
        case {"repeat": {"boundsPeriod": bounds}}:
            yield from _intervals(bounds)


def _quantities(parameter: SearchParameter, element: Any, _: str) -> Iterator[IndexValue]:
    match element:
        case {"value": value}:
            ends = _ends(Decimal(value), element.get("comparator"))
            yield from _quantity(parameter, element, *ends)
        case {"low": {"value": low}, "high": {"value": high}}:
            yield from _quantity(parameter, element["low"], Decimal(low), Decimal(high))


def _ends(value: Decimal, comparator: Any) -> tuple[Decimal | None, Decimal | None]:
    """The numbers that are meant: "< 20" is anything below it (R4 3.1.1.4.1: a range)."""
    if comparator in ("<", "<="):
        return None, value
    return value, None if comparator in (">", ">=") else value


def _quantity(
    parameter: SearchParameter,
    element: dict[str, Any],
    first: Decimal | None,
    last: Decimal | None,
) -> Iterator[IndexValue]:
    system, code, unit = (_text(element.get(key)) for key in ("system", "code", "unit"))
    yield RangeValue(parameter.name, first, last)
    if system:
        yield RangeValue(parameter.name, first, last, indexed_text(f"{system}|{code}"))
    for name in {code, unit} - {""}:
        yield RangeValue(parameter.name, first, last, indexed_text(f"|{name}"))
    ends = [None if end is None else in_base_unit(end, code) for end in (first, last)]
    base = next((each[1] for each in ends if each is not None), None)
    if system == UCUM and base is not None:
        lowest, highest = (None if each is None else each[0] for each in ends)
        yield RangeValue(parameter.name, lowest, highest, f"={base}")


_Values = Callable[[SearchParameter, Any, str], Iterable[IndexValue]]
_VALUES: Final[dict[str, _Values]] = {
    "token": _tokens,
    "string": _strings,
    "uri": _uris,
    "reference": _references,
    "date": _dates,
    "quantity": _quantities,
}
