"""The search parameters of stored resources: one table for index, search and CapabilityStatement.

A row of search_parameters.csv has kind (* = all), name, type, paths joined by ``|`` and what a
reference may lead to (* = anything). Names, types and targets are those of R4; of its expressions
paths are made of, in terms of JSON (elements.py reads them).

Source  R4 4.0.1 SearchParameter definitions; composites and ``phonetic`` are left out
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal, get_args

ParameterType = Literal["token", "string", "date", "reference", "uri", "quantity"]
ANYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One parameter of a kind. ``targets``: of a reference; None = anything."""

    kind: str
    name: str
    type: ParameterType
    paths: tuple[str, ...]
    targets: tuple[str, ...] | None


def _read() -> dict[str, dict[str, SearchParameter]]:
    text = files("wardlight_cloud.fhir.stored").joinpath("search_parameters.csv")
    shared: list[dict[str, str]] = []
    table: dict[str, dict[str, SearchParameter]] = {}
    for row in csv.DictReader(text.read_text(encoding="utf-8").splitlines()):
        if row["kind"] == ANYTHING:
            shared.append(row)
            continue
        if row["kind"] not in table:
            table[row["kind"]] = {}
            for each in shared:
                table[row["kind"]][each["name"]] = _parameter({**each, "kind": row["kind"]})
        table[row["kind"]][row["name"]] = _parameter(row)
    return table


def _parameter(row: Mapping[str, str]) -> SearchParameter:
    (kind_of_value,) = (each for each in get_args(ParameterType) if each == row["type"])
    targets = None if row["targets"] == ANYTHING else tuple(row["targets"].split())
    paths = tuple(row["path"].split("|"))
    return SearchParameter(row["kind"], row["name"], kind_of_value, paths, targets)


SEARCH_PARAMETERS: Final[Mapping[str, Mapping[str, SearchParameter]]] = MappingProxyType(_read())
"""By kind and name."""

KINDS: Final = tuple(SEARCH_PARAMETERS)
