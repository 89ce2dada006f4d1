"""ValueSets and CodeSystems: is a code in them?

Some systems (LOINC, SNOMED CT, MIME types) are named by R4 but not held in it: then nobody knows,
and the answer is None. UCUM is a grammar; ucumvert (MIT) holds it.

Source  R4 4.0.1 ValueSet (compose), CodeSystem; UCUM 2.2
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from ucumvert import (  # type: ignore[import-untyped]
    InvalidUcumError,
    get_ucum_parser,
    parse_ucum,
)

from support.fhir_definitions.package import Definitions

Json = Any
UCUM: Final = "http://unitsofmeasure.org"
LOINC: Final = "http://loinc.org"


@cache
def _ucum_parser() -> object:
    return get_ucum_parser()


@cache
def is_ucum(code: str) -> bool:
    """Whether the code is one of UCUM's grammar and units."""
    try:
        parse_ucum(code, _ucum_parser())
    except InvalidUcumError:
        return False
    return True


def _flat(concepts: Iterable[Json]) -> Iterator[Json]:
    for concept in concepts:
        yield concept
        yield from _flat(concept.get("concept", []))


class Terminology:
    """Answers from the ValueSets and CodeSystems of the package."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._displays = cache(self._read_displays)
        self._value_set = cache(self._read_value_set)

    def displays(self, system: str) -> dict[str, set[str]] | None:
        """Code to its displays, in lower case; None where the package lacks the system."""
        return self._displays(system)

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether the ValueSet holds the code; ``system`` None = that of the ValueSet."""
        found = self._value_set(value_set.partition("|")[0])
        return None if found is None else found(system, code)

    def _read_displays(self, system: str) -> dict[str, set[str]] | None:
        code_system = self._definitions.terminology("CodeSystem", system)
        if code_system is None or code_system["content"] != "complete":
            return None
        return {
            concept["code"]: {
                text.lower()
                for text in (
                    concept.get("display", concept["code"]),
                    *(each["value"] for each in concept.get("designation", [])),
                )
            }
            for concept in _flat(code_system.get("concept", []))
        }

    def _read_value_set(self, url: str) -> Callable[[str | None, str], bool | None] | None:
        value_set = self._definitions.terminology("ValueSet", url)
        if value_set is None:
            return None
        included = [self._part(part) for part in value_set["compose"]["include"]]
        excluded = [self._part(part) for part in value_set["compose"].get("exclude", [])]

        def contains(system: str | None, code: str) -> bool | None:
            answers = [part(system, code) for part in included]
            if any(part(system, code) is not False for part in excluded):
                return None if any(answers) else False
            return True if True in answers else None if None in answers else False

        return contains

    def _part(self, part: Json) -> Callable[[str | None, str], bool | None]:
        """One include: a list of codes, a whole system, or other ValueSets."""
        own = part.get("system")
        listed = frozenset(concept["code"] for concept in part.get("concept", []))
        others = part.get("valueSet", [])

        def contains(system: str | None, code: str) -> bool | None:
            if own is None:
                answers = [self.contains(other, system, code) for other in others]
                return False if False in answers else None if None in answers else True
            if system not in (None, own):
                return False
            return code in listed if listed else self._is_of(own, code, part.get("filter", []))

        return contains

    def _is_of(self, system: str, code: str, filters: Json) -> bool | None:
        if system == UCUM:
            return is_ucum(code)
        displays = self.displays(system)
        if displays is None:
            return None
        if code not in displays:
            return False
        return None if filters else True
