"""Parts of resources: ``_summary`` and ``_elements``, with the tag that says so.

Source  R4 4.0.1 3.1.1.5.5, 3.1.1.5.7; summary_elements.csv, made from R4's StructureDefinitions
"""

import csv
from collections.abc import MutableMapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from wardlight_cloud.fhir.stored.body import dumped, parsed
from wardlight_cloud.fhir.stored.searching import Shape
from wardlight_cloud.security.who import note_resource

_SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})


def shown(scope: MutableMapping[str, Any], kind: str, text: bytes, shape: Shape) -> bytes:
    """The same, of a resource that a request shows: whose it is may be in what is left out."""
    if shape == Shape():
        return text
    note_resource(scope, kind, "", text)
    return shaped(kind, text, shape)


def shaped(kind: str, text: bytes, shape: Shape) -> bytes:
    """The part of a resource, as JSON, that was asked for."""
    if shape == Shape() or kind not in _elements_of_kinds():
        return text
    resource = parsed(text)
    kept = {key: value for key, value in resource.items() if _is_kept(kind, key, shape)}
    if len(kept) < len(resource):
        meta = dict(kept.get("meta", {}))
        meta["tag"] = [*meta.get("tag", []), _SUBSETTED]
        kept["meta"] = meta
    return dumped(kept)


def _is_kept(kind: str, key: str, shape: Shape) -> bool:
    name = key.removeprefix("_")
    summary, mandatory = _elements_of_kinds()[kind]
    if name in _ALWAYS or (shape.summary != "false" and name == "implicitRules"):
        return True
    if shape.elements and not _is_one_of(name, {*shape.elements, *mandatory}):
        return False
    match shape.summary:
        case "true":
            return _is_one_of(name, summary)
        case "text":
            return name == "text" or _is_one_of(name, mandatory)
        case "data":
            return name != "text"
    return True


def _is_one_of(name: str, elements: Any) -> bool:
    """Whether an element is named; value[x] is valueQuantity, and so is value."""
    if name in elements:
        return True
    return any(
        name.startswith(stem) and name[len(stem) :][:1].isupper()
        for each in elements
        if (stem := each.removesuffix("[x]")) != each or each == "value"
    )


@cache
def _elements_of_kinds() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    text = files("wardlight_cloud.fhir.stored").joinpath("summary_elements.csv")
    rows = csv.DictReader(text.read_text(encoding="utf-8").splitlines())
    return {
        row["kind"]: (frozenset(row["summary"].split()), frozenset(row["mandatory"].split()))
        for row in rows
    }
