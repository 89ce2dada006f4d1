"""Checks a resource against the definitions: R4 itself and each profile that it claims.

Checked: unknown elements, cardinality, lists, types and choices, primitives, fixed and pattern
values, slices, required bindings, codes and displays of the code systems in the package, UCUM,
targets of references, extensions, and all constraints of severity error.
Not checked: extensible and weaker bindings, codes of systems the package lacks (LOINC, MDC, MIME
types), whether a reference leads anywhere, profiles the package lacks (``unknown_profiles``).

Source  R4 4.0.1 StructureDefinition, ElementDefinition, 2.6.2 (JSON), 2.5 (extensibility)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from support.fhir_definitions.constraints import holds
from support.fhir_definitions.contents import Contents
from support.fhir_definitions.package import Definitions
from support.fhir_definitions.primitives import problem
from support.fhir_definitions.slicing import Slicer, equals, has_pattern
from support.fhir_definitions.structure import Element, Rule, Structure
from support.fhir_definitions.terminology import Terminology
from support.fhir_definitions.values import Instance, choice_names, instances

Json = Any
_INLINE: Final = frozenset({"BackboneElement", "Element"})  # their children stand in the snapshot
_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault: where, which rule, what is wrong."""

    path: str
    rule: str
    text: str


class Validator:
    """Validates resources whose numbers were parsed as Decimal.

    own_extensions  urls of extensions that no definition is at hand for
    """

    def __init__(
        self, definitions: Definitions, *, own_extensions: frozenset[str] = frozenset()
    ) -> None:
        self.definitions = definitions
        terminology = Terminology(definitions)
        self.contents = Contents(definitions, terminology)
        self.slicer = Slicer(definitions, terminology)
        self.own_extensions = own_extensions

    def issues(self, resource: Json) -> list[Issue]:
        """All faults of a resource, as R4 and the known ones of its profiles see it."""
        return list(self.walk(resource, ""))

    def issues_against(self, resource: Json, profile: str) -> list[Issue]:
        """Faults as one profile sees it, whatever the resource claims."""
        structure = self.definitions.structure(profile)
        assert structure is not None, f"{profile} is not in the package"
        return list(_Walk(self, resource, is_deep=False).structure(structure, structure.type))

    def unknown_profiles(self, resource: Json) -> list[str]:
        """Claimed profiles that the package lacks."""
        return [url for url in _claimed(resource) if self.definitions.structure(url) is None]

    def walk(self, resource: Json, path: str) -> Iterator[Issue]:
        """Issues of a resource that stands at ``path`` (inside a Bundle), or on its own."""
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        structure = self.definitions.structure(kind) if isinstance(kind, str) else None
        if structure is None or structure.kind != "resource" or structure.is_profile:
            yield Issue(path or "resource", "resourceType", f"{kind!r} is no resource type of R4")
            return
        where = path or structure.type
        yield from _Walk(self, resource, is_deep=True).structure(structure, where)
        for url in _claimed(resource):
            profile = self.definitions.structure(url)
            if profile is None:
                continue
            if profile.type == structure.type:
                yield from _Walk(self, resource, is_deep=False).structure(profile, where)
            else:
                yield Issue(where, "profile", f"{url} is a profile of {profile.type}")


def _claimed(resource: Json) -> list[str]:
    meta = resource.get("meta")
    found = meta.get("profile", []) if isinstance(meta, dict) else []
    return [url for url in found if isinstance(url, str)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class _Walk:
    """One pass over one resource. Deep: into the definitions of types; else the profile's alone."""

    validator: Validator
    resource: Json
    is_deep: bool

    def structure(self, structure: Structure, path: str) -> Iterator[Issue]:
        """The whole resource against one definition."""
        yield from self._object(self.resource, structure.root, structure, path)
        yield from self._rules(structure.root.rules, self.resource, structure.type, path)

    def _object(
        self, value: Json, parent: Element, structure: Structure, path: str
    ) -> Iterator[Issue]:
        """The members of a JSON object against the children of an element."""
        known = {"resourceType"} if value is self.resource else set()
        for child in structure.children(parent):
            for name, _ in choice_names(child):
                known |= {name, f"_{name}"}
            found, faults = instances(value, child, path)
            yield from (Issue(where, "json", text) for where, text in faults)
            yield from self._element(found, child, structure, f"{path}.{child.name}")
        for name in value.keys() - known:
            yield Issue(f"{path}.{name}", "unknown", "R4 or the profile has no such element")

    def _element(
        self, found: list[Instance], element: Element, structure: Structure, path: str
    ) -> Iterator[Issue]:
        yield from _cardinality(len(found), element, path)
        for instance in found:
            yield from self._instance(instance, element, structure)
        if element.slicing is not None and element.slices:
            yield from self._slices(found, element, structure, path)

    def _slices(
        self, found: list[Instance], element: Element, structure: Structure, path: str
    ) -> Iterator[Issue]:
        assert element.slicing is not None
        is_in = self.validator.slicer.is_in
        left = list(found)
        for part in element.slices:
            members = [i for i in found if is_in(i.value, i.type.code, element, part)]
            left = [each for each in left if each not in members]
            yield from _cardinality(len(members), part, f"{path}:{part.id.rpartition(':')[2]}")
            for instance in members:
                yield from self._instance(instance, part, structure)
        if element.slicing.is_closed:
            yield from (Issue(each.path, "slicing", "belongs to no slice") for each in left)

    def _instance(
        self, instance: Instance, element: Element, structure: Structure
    ) -> Iterator[Issue]:
        """One value against its element: its type, then what the element adds."""
        kind = self.validator.definitions.structure(instance.type.code)
        assert kind is not None, f"{instance.path}: type {instance.type.code} is not in the package"
        if kind.kind == "primitive-type":
            yield from self._primitive(instance, kind)
        elif kind.kind == "resource":
            if self.is_deep:
                yield from self.validator.walk(instance.value, instance.path)
            return
        elif not isinstance(instance.value, dict) or not instance.value.keys() - {"id"}:
            yield Issue(instance.path, "ele-1", f"no members where a {kind.type} belongs")
            return
        else:
            yield from self._complex(instance, element, kind, structure)
        yield from self._additions(instance, element, kind)

    def _primitive(self, instance: Instance, kind: Structure) -> Iterator[Issue]:
        if not self.is_deep:
            return
        if instance.value is not None:
            regex = kind.regex or instance.type.regex
            if text := problem(kind.type, instance.value, regex):
                yield Issue(instance.path, "primitive", text)
        elif not isinstance(instance.extra, dict) or not instance.extra.get("extension"):
            yield Issue(instance.path, "ele-1", "neither a value nor an extension")
        if instance.extra is not None:
            element = self.validator.definitions.structure("Element")
            assert element is not None
            if isinstance(instance.extra, dict) and instance.extra:
                yield from self._object(instance.extra, element.root, element, instance.path)
            else:
                yield Issue(instance.path, "json", "no members where id and extension belong")

    def _complex(
        self, instance: Instance, element: Element, kind: Structure, structure: Structure
    ) -> Iterator[Issue]:
        value, path = instance.value, instance.path
        if structure.children(element):
            yield from self._object(value, element, structure, path)
        for url in instance.type.profiles:
            profile = self.validator.definitions.structure(url)
            if profile is not None and profile.kind == "complex-type":
                yield from _Walk(self.validator, self.resource, is_deep=False)._type(
                    value, profile, path
                )
        if self.is_deep and kind.type not in _INLINE:
            yield from self._type(value, kind, path)
            yield from self._special(instance, element, kind)

    def _type(self, value: Json, kind: Structure, path: str) -> Iterator[Issue]:
        yield from self._object(value, kind.root, kind, path)
        yield from self._rules(kind.root.rules, value, kind.type, path)

    def _special(self, instance: Instance, element: Element, kind: Structure) -> Iterator[Issue]:
        match kind.type:
            case "Extension":
                yield from self._extension(instance, element.path.rpartition(".")[0])
            case "Coding":
                found = self.validator.contents.coding(instance.value)
                yield from (Issue(instance.path, "coding", text) for text in found)
            case "Quantity":
                found = self.validator.contents.quantity(instance.value)
                yield from (Issue(instance.path, "ucum", text) for text in found)

    def _extension(self, instance: Instance, parent: str) -> Iterator[Issue]:
        """An extension: defined for this place, or one of our own with an absolute url."""
        url, place = instance.value.get("url"), instance.path.rpartition(".")[0]
        if not isinstance(url, str) or ".extension[" in place:
            return  # the url of a part is a name inside its extension
        definition = self.validator.definitions.structure(url)
        if definition is None:
            if url not in self.validator.own_extensions:
                yield Issue(instance.path, "extension", f"nobody defines {url}")
            elif ":" not in url or url.startswith(_CORE):
                yield Issue(instance.path, "extension", f"{url} is no url of our own")
            return
        if not {parent, _plain(place), "Element"} & set(definition.contexts):
            yield Issue(instance.path, "extension", f"{url} does not belong into {place}")
        yield from _Walk(self.validator, self.resource, is_deep=False)._type(
            instance.value, definition, instance.path
        )

    def _additions(self, instance: Instance, element: Element, kind: Structure) -> Iterator[Issue]:
        """What an element asks beyond its type."""
        value, path = instance.value, instance.path
        if value is not None:
            if not all(equals(value, fixed) for fixed in element.fixed):
                yield Issue(path, "fixed", f"{value!r} is not {element.fixed[0]!r}")
            if not all(has_pattern(value, pattern) for pattern in element.pattern):
                yield Issue(path, "pattern", f"{value!r} lacks {element.pattern[0]!r}")
            if element.required_binding is not None:
                texts = self.validator.contents.binding(element.required_binding, value, kind.type)
                yield from (Issue(path, "binding", text) for text in texts)
            if kind.type == "Reference":
                texts = self.validator.contents.targets(value, instance.type)
                yield from (Issue(path, "reference", text) for text in texts)
            base = element.path if kind.type in _INLINE else kind.type
            yield from self._rules(element.rules, value, base, path)

    def _rules(self, rules: tuple[Rule, ...], value: Json, base: str, path: str) -> Iterator[Issue]:
        for rule in rules:
            if rule.key == "ele-1":
                continue  # asked of each value above, without FHIRPath
            try:
                is_kept = holds(rule.expression, value, base, self.resource)
            except Exception as error:  # noqa: BLE001 - whatever it raises, the rule is not proved
                yield Issue(path, rule.key, f"cannot be evaluated: {error!r}")
            else:
                if not is_kept:
                    yield Issue(path, rule.key, rule.human)


def _cardinality(count: int, element: Element, path: str) -> Iterator[Issue]:
    if count < element.minimum:
        yield Issue(path, "minimum", f"{count} of at least {element.minimum}")
    if element.maximum is not None and count > element.maximum:
        yield Issue(path, "maximum", f"{count} of at most {element.maximum}")


def _plain(path: str) -> str:
    """A path without list indices."""
    return ".".join(part.partition("[")[0] for part in path.split("."))
