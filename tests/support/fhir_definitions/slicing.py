"""Which slice a value belongs to: discriminators, looked up in the definition and in the data.

Source  R4 4.0.1 5.1.0.13 (discriminators)
"""

from collections.abc import Iterable, Iterator
from typing import Any

from support.fhir_definitions.package import Definitions
from support.fhir_definitions.structure import Element
from support.fhir_definitions.terminology import Terminology

Json = Any


def equals(value: Json, fixed: Json) -> bool:
    """Exactly the same, as fixed[x] asks."""
    return bool(value == fixed) and isinstance(value, bool) == isinstance(fixed, bool)


def has_pattern(value: Json, pattern: Json) -> bool:
    """At least what the pattern holds, as pattern[x] asks."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and has_pattern(value[key], wanted) for key, wanted in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(has_pattern(each, wanted) for each in value) for wanted in pattern
        )
    return equals(value, pattern)


def reach(value: Json, segments: list[str]) -> list[Json]:
    """All values at a path, lists flattened; ``value`` also finds ``valueQuantity``."""
    found = value if isinstance(value, list) else [value]
    for segment in segments:
        found = [
            inner
            for each in found
            if isinstance(each, dict)
            for key, inside in each.items()
            if key == segment or (key.startswith(segment) and key[len(segment)].isupper())
            for inner in (inside if isinstance(inside, list) else [inside])
        ]
    return found


class Slicer:
    """Tells slices apart by the discriminators value, pattern, type and exists."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology

    def is_in(self, value: Json, kind: str, whole: Element, part: Element) -> bool:
        """Whether a value of type ``kind`` belongs to the slice ``part`` of ``whole``."""
        assert whole.slicing is not None
        return all(
            self._agrees(value, kind, part, how, [] if path == "$this" else path.split("."))
            for how, path in whole.slicing.discriminators
        )

    def _agrees(self, value: Json, kind: str, part: Element, how: str, segments: list[str]) -> bool:
        match how:
            case "value" | "pattern":
                expected = list(self._expected([part], segments))
                assert expected, f"{part.id}: nothing to tell it apart by"
                actual = reach(value, segments)
                return all(any(self._meets(each, test) for each in actual) for test in expected)
            case "type" if not segments:
                return kind in {each.code for each in part.types}
            case "exists":
                (element,) = self._descend([part], segments)
                return bool(reach(value, segments)) == (element.minimum > 0)
            case _:
                raise AssertionError(f"{part.id}: discriminator {how} {segments} is not built")

    def _meets(self, value: Json, test: tuple[str, Json]) -> bool:
        how, wanted = test
        if how == "fixed":
            return equals(value, wanted)
        if how == "pattern":
            return has_pattern(value, wanted)
        system = value.get("system") if isinstance(value, dict) else None
        code = value.get("code") if isinstance(value, dict) else value
        return self._terminology.contains(wanted, system, str(code)) is not False

    def _expected(self, elements: list[Element], segments: list[str]) -> Iterator[tuple[str, Json]]:
        """What the definition says at the path below these elements."""
        for place in range(len(segments) + 1):
            rest = segments[place:]
            for element in self._descend(elements, segments[:place]):
                for how, values in (("fixed", element.fixed), ("pattern", element.pattern)):
                    yield from ((how, inner) for value in values for inner in reach(value, rest))
                if not rest and element.required_binding is not None:
                    yield "binding", element.required_binding

    def _descend(self, elements: list[Element], segments: list[str]) -> list[Element]:
        """Elements at a path, with the required slices of those on the way."""
        for segment in segments:
            elements = [
                each
                for parent in elements
                for child in self._children(parent)
                if child.name in (segment, f"{segment}[x]")
                for each in _with_required_slices(child)
            ]
        return elements

    def _children(self, element: Element) -> list[Element]:
        if element.children:
            return element.children
        names = [p for each in element.types for p in (*each.profiles, each.code)]
        structures = (self._definitions.structure(name) for name in names)
        return next((found.root.children for found in structures if found is not None), [])


def _with_required_slices(element: Element) -> Iterable[Element]:
    return (element, *(part for part in element.slices if part.minimum > 0))
