"""The definitions' own constraints, evaluated by fhirpathpy (MIT).

Source  R4 4.0.1 ElementDefinition.constraint; FHIRPath N1
"""

from collections.abc import Callable
from functools import cache
from types import NoneType
from typing import Any, Final

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

Json = Any


def _has_value(inputs: list[Json]) -> list[bool]:
    """hasValue() of R4 2.9.1: one primitive with a value; fhirpathpy lacks it."""
    return [len(inputs) == 1 and not isinstance(inputs[0], dict | NoneType)]


_OF_LOCAL_REFERENCES: Final = "reference.startsWith('#').not() or"
_OPTIONS: Final = {
    "traceFn": lambda *_: None,  # without it trace() prints
    "userInvocationTable": {"hasValue": {"fn": _has_value, "arity": {0: []}}},
}


@cache
def _compiled(expression: str) -> Callable[..., list[Json]]:
    return fhirpathpy.compile(expression, models["r4"], _OPTIONS)


def holds(expression: str, value: Json, base: str, resource: Json) -> bool:
    """Whether a constraint of an element holds; ``base`` is the element's type or its path.

    An empty answer counts as no, as in the validator of HL7; but of ref-1, which speaks of local
    references only: one by identifier or name (R4 2.3.0.3) is none.
    """
    if expression.startswith(_OF_LOCAL_REFERENCES) and not value.get("reference"):
        return True
    node = ResourceNode.create_node(value, base)  # type: ignore[no-untyped-call]
    known = {"resource": resource, "rootResource": resource}
    return bool(_compiled(expression)(node, known) == [True])
