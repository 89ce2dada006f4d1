"""Element trees, made from the snapshots of StructureDefinitions.

A snapshot is a flat list; ``Observation.component:SystolicBP.code.coding`` is a child of
``Observation.component:SystolicBP.code``, and that component a slice of ``Observation.component``.

Source  R4 4.0.1 StructureDefinition, ElementDefinition; 5.1.0.14 (slicing)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

Json = Any
_FHIR_TYPE: Final = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_REGEX: Final = "http://hl7.org/fhir/StructureDefinition/regex"
_SYSTEM: Final = "http://hl7.org/fhirpath/System."


@dataclass(frozen=True, slots=True)
class TypeRef:
    """One allowed type of an element."""

    code: str
    profiles: tuple[str, ...]
    targets: tuple[str, ...]
    regex: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint of severity error that has a FHIRPath expression."""

    key: str
    human: str
    expression: str


@dataclass(frozen=True, slots=True)
class Slicing:
    """How values are told apart: (type, path) each."""

    discriminators: tuple[tuple[str, str], ...]
    is_closed: bool


@dataclass(slots=True)
class Element:
    """One element, or one slice of an element. ``required_binding`` is the url of a ValueSet."""

    id: str
    path: str
    minimum: int
    maximum: int | None
    is_list: bool
    types: tuple[TypeRef, ...]
    fixed: tuple[Json, ...]  # () or (value,)
    pattern: tuple[Json, ...]
    required_binding: str | None
    rules: tuple[Rule, ...]
    slicing: Slicing | None
    content_reference: str | None
    children: list["Element"] = field(default_factory=list)
    slices: list["Element"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name in the resource: ``value[x]``, ``component``."""
        return self.path.rpartition(".")[2]


@dataclass(slots=True)
class Structure:
    """A StructureDefinition: kind (resource, complex-type, primitive-type), type, tree."""

    url: str
    kind: str
    type: str
    is_profile: bool
    contexts: tuple[str, ...]  # of an extension: where it may stand
    root: Element
    by_id: Mapping[str, Element]

    @classmethod
    def of(cls, definition: Json) -> Self:
        """Build the tree."""
        rows = definition["snapshot"]["element"]
        by_id = {row["id"]: _element(row) for row in rows}
        for identity, element in by_id.items():
            parent, _, last = identity.rpartition(".")
            unsliced, colon, _ = last.partition(":")
            if colon:
                whole = f"{parent}.{unsliced}" if parent else unsliced
                by_id[whole].slices.append(element)
            elif parent:
                by_id[parent].children.append(element)
        contexts = (c["expression"] for c in definition.get("context", []))
        return cls(
            url=definition["url"],
            kind=definition["kind"],
            type=definition["type"],
            is_profile=definition.get("derivation") == "constraint",
            contexts=tuple(contexts),
            root=by_id[rows[0]["id"]],
            by_id=by_id,
        )

    def children(self, element: Element) -> list[Element]:
        """Children of an element; of the element it refers to where it has none of its own."""
        if element.content_reference is None:
            return element.children
        return self.by_id[element.content_reference.rpartition("#")[2]].children

    @property
    def regex(self) -> str | None:
        """The regex of a primitive type."""
        value = next((child for child in self.root.children if child.name == "value"), None)
        return None if value is None else value.types[0].regex


def _extension(row: Json, url: str) -> Json:
    found = (e for e in row.get("extension", []) if e["url"] == url)
    return next(({k: v for k, v in e.items() if k != "url"} for e in found), {})


def _type(row: Json, path: str) -> TypeRef:
    code: str = row["code"]
    if code.startswith(_SYSTEM):  # ids and urls of elements, and the value inside a primitive
        code = next(iter(_extension(row, _FHIR_TYPE).values()), "string")
        if path.count(".") == 1 and path.endswith(".id") and path[0].isupper():
            code = "id"  # Resource.id: the definition says string, its text says id
    regex = next(iter(_extension(row, _REGEX).values()), None)
    return TypeRef(code, tuple(row.get("profile", ())), tuple(row.get("targetProfile", ())), regex)


def _rules(rows: Iterable[Json]) -> tuple[Rule, ...]:
    return tuple(
        Rule(row["key"], row["human"], row["expression"])
        for row in rows
        if row["severity"] == "error" and "expression" in row
    )


def _slicing(row: Json | None) -> Slicing | None:
    if row is None:
        return None
    told_apart = tuple((d["type"], d["path"]) for d in row.get("discriminator", []))
    return Slicing(told_apart, row["rules"] == "closed")


def _prefixed(row: Json, prefix: str) -> tuple[Json, ...]:
    return tuple(
        value
        for key, value in row.items()
        if key.startswith(prefix) and key[len(prefix) : len(prefix) + 1].isupper()
    )


def _element(row: Json) -> Element:
    binding = row.get("binding", {})
    base = row.get("base", row)
    return Element(
        id=row["id"],
        path=row["path"],
        minimum=row["min"],
        maximum=None if row["max"] == "*" else int(row["max"]),
        is_list=base["max"] not in ("0", "1"),
        types=tuple(_type(each, row["path"]) for each in row.get("type", [])),
        fixed=_prefixed(row, "fixed"),
        pattern=_prefixed(row, "pattern"),
        required_binding=binding.get("valueSet") if binding.get("strength") == "required" else None,
        rules=_rules(row.get("constraint", [])),
        slicing=_slicing(row.get("slicing")),
        content_reference=row.get("contentReference"),
    )
