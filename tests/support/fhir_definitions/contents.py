"""What stands inside codings, quantities and references; each check gives texts of what is wrong.

Source  R4 4.0.1 2.24 (Coding, CodeableConcept, Quantity), 2.3 (references), 4.1.3 (bindings)
"""

from collections.abc import Iterator
from typing import Any, Final

from support.fhir_definitions.package import Definitions
from support.fhir_definitions.slicing import reach
from support.fhir_definitions.structure import TypeRef
from support.fhir_definitions.terminology import UCUM, Terminology, is_ucum

Json = Any
_PRIMITIVES: Final = frozenset({"code", "uri", "string"})  # their ValueSet says the system


class Contents:
    """Checks against code systems, ValueSets and resource types."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology

    def coding(self, value: Json) -> Iterator[str]:
        """The code is one of its system, and the display is that of the code."""
        system, code, display = _texts(value, "system", "code", "display")
        if system is not None and ":" not in system:
            yield f"{system} is no absolute uri"
        displays = self._terminology.displays(str(system))
        if displays is None or code is None:
            return
        if code not in displays:
            yield f"{system} has no {code}"
        elif display is not None and display.lower() not in displays[code]:
            yield f"{display!r} is not {code}"

    def quantity(self, value: Json) -> Iterator[str]:
        """A code of UCUM is one."""
        system, code = _texts(value, "system", "code")
        if system == UCUM and code is not None and not is_ucum(code):
            yield f"UCUM has no {code}"

    def binding(self, value_set: str, value: Json, kind: str) -> Iterator[str]:
        """One code at least is in the ValueSet, or in a system that nobody here knows."""
        match kind:
            case "CodeableConcept":
                codes = [_texts(each, "system", "code") for each in reach(value, ["coding"])]
            case "Coding" | "Quantity":
                codes = [_texts(value, "system", "code")]
            case _ if kind in _PRIMITIVES:
                codes = [(None, str(value))]
            case _:
                return  # a binding says nothing of other types
        for system, code in codes:
            whose = system if kind in _PRIMITIVES else system or ""
            if code and self._terminology.contains(value_set, whose, code) is not False:
                return
        yield f"{codes} is not in {value_set}"

    def targets(self, value: Json, kind: TypeRef) -> Iterator[str]:
        """A reference names a resource of a type that may stand there."""
        reference = value.get("reference")
        if not isinstance(reference, str) or reference.startswith(("#", "urn:")):
            return
        parts = reference.partition("/_history/")[0].split("/")
        target = parts[-2] if len(parts) > 1 else ""
        structure = self._definitions.structure(target) if target else None
        if structure is None or structure.kind != "resource":
            yield f"{reference} names no resource type"
        elif kind.targets and not self._types_of(kind.targets) & {target, "Resource"}:
            yield f"{target} is none of {sorted(kind.targets)}"

    def _types_of(self, profiles: tuple[str, ...]) -> set[str]:
        found = ((url, self._definitions.structure(url)) for url in profiles)
        return {url.rpartition("/")[2] if each is None else each.type for url, each in found}


def _texts(value: Json, *names: str) -> tuple[str | None, ...]:
    """Members that are text; None where one is missing or something else."""
    found = (value.get(name) if isinstance(value, dict) else None for name in names)
    return tuple(each if isinstance(each, str) else None for each in found)
