"""The values of one element in a JSON object: a value, a list, a choice, extensions beside it.

Source  R4 4.0.1 2.6.2 (JSON representation of primitives, lists and choices)
"""

from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import Any

from support.fhir_definitions.structure import Element, TypeRef

Json = Any
Fault = tuple[str, str]
_BACKBONE = TypeRef("BackboneElement", (), (), None)


@dataclass(frozen=True, slots=True)
class Instance:
    """One value with its type; ``extra`` is the ``_name`` object beside a primitive."""

    value: Json
    extra: Json
    type: TypeRef
    path: str


@cache
def _names(name: str, types: tuple[TypeRef, ...]) -> tuple[tuple[str, TypeRef], ...]:
    if not name.endswith("[x]"):
        return ((name, types[0] if types else _BACKBONE),)
    stem = name.removesuffix("[x]")
    return tuple((stem + each.code[:1].upper() + each.code[1:], each) for each in types)


def choice_names(element: Element) -> tuple[tuple[str, TypeRef], ...]:
    """Names that an element can have in JSON, each with its type."""
    return _names(element.name, element.types)


def instances(value: Json, element: Element, path: str) -> tuple[list[Instance], list[Fault]]:
    """Values of the element in an object, and what is wrong with the way they stand there."""
    found: list[Instance] = []
    faults: list[Fault] = []
    for name, kind in choice_names(element):
        if name not in value and f"_{name}" not in value:
            continue
        where = f"{path}.{name}"
        values, extras = value.get(name), value.get(f"_{name}")
        if None in (value.get(name, ""), value.get(f"_{name}", "")):
            faults.append((where, "null where nothing belongs"))
        if not element.is_list:
            found.append(Instance(values, extras, kind, where))
            if isinstance(values, list) or isinstance(extras, list):
                faults.append((where, "a list where one value belongs"))
        elif not _is_list(value, name) or not _is_list(value, f"_{name}"):
            faults.append((where, "not a list of one or more"))
        else:
            pairs = enumerate(zip_longest(values or [], extras or []))
            found += [Instance(v, e, kind, f"{where}[{place}]") for place, (v, e) in pairs]
    return found, faults


def _is_list(value: Json, name: str) -> bool:
    """Whether a member is a list that holds something, or is not there."""
    return name not in value or (isinstance(value[name], list) and len(value[name]) > 0)
