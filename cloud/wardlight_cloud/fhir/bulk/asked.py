"""What a kick-off request asks for: parameters of the URL, or of a body of Parameters.

A parameter that this server does not follow is refused; under ``Prefer: handling=lenient`` it is
left out, and a note says so in the export's error file.

Errors  FhirError 400, 413, 415
Source  HL7 Bulk Data Access 2.0, Bulk Data Kick-off Request; ``_until`` as in 3.0
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request

from wardlight_cloud.fhir import asking
from wardlight_cloud.fhir.addresses import with_local_references
from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.escapes import pairs_of, query_pairs
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.parameters import reference_id
from wardlight_cloud.fhir.preferences import preferences
from wardlight_cloud.fhir.stored.incoming import RESOURCE_BYTES, json_body

PATIENT: Final = "patient"
_FORMATS: Final = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
_TOLD_ELSEWHERE: Final = frozenset({"_format", "_pretty"})
_MOST_FILTERS: Final = 20
_FILTER: Final = re.compile(r"(?P<kind>[A-Z][A-Za-z]{1,63})\?(?P<query>.*)", re.DOTALL)
_NEXT_FILTER: Final = re.compile(r",(?=[A-Z][A-Za-z]{1,63}\?)")
_OF_THE_ANSWER: Final = frozenset(
    {
        "_include", "_revinclude", "_sort", "_count", "_summary", "_elements", "_total",
        "_cursor", "_format", "_pretty", "_contained", "_containedType",
    }
)  # fmt: skip


class Level(StrEnum):
    """Of whom everything is asked for."""

    SYSTEM = "system"
    PATIENTS = "patients"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Filter:
    """A search whose matches are wanted of its kind."""

    kind: str
    query: str


@dataclass(frozen=True, slots=True)
class Asked:
    """``kinds``, ``patients`` None = all there are. ``notes``: what was left out."""

    kinds: tuple[str, ...] | None
    filters: tuple[Filter, ...]
    since: datetime | None
    until: datetime | None
    patients: tuple[UUID, ...] | None
    notes: tuple[str, ...]


async def asked_for(request: Request, level: Level, known: Sequence[str]) -> Asked:
    """Read a kick-off request; ``known``: the kinds that there are."""
    wishes = preferences(request)
    if "respond-async" not in wishes:
        text = "An export is made in the background; ask for it with Prefer: respond-async."
        raise FhirError(400, "required", text, expression="http.Prefer")
    pairs = query_pairs(request)
    if request.method == "POST":
        pairs += _of_parameters(await json_body(request, limit=RESOURCE_BYTES))
    pairs = with_local_references(pairs, request.scope.get(asking.BASE, ""))
    return _Reader(wishes.get("handling") == "lenient", level, known, request.method).read(pairs)


def _of_parameters(body: Any) -> list[tuple[str, str]]:
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise FhirError(400, "structure", "The body is not Parameters.", expression="Parameters")
    given = body.get("parameter", [])
    if not isinstance(given, list):
        where = "Parameters.parameter"
        raise FhirError(400, "structure", f"{where} is not a list.", expression=where)
    pairs = []
    for place, each in enumerate(given):
        where = f"Parameters.parameter[{place}]"
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise FhirError(400, "structure", f"{where} has no name.", expression=where)
        values = [value for name, value in each.items() if name.startswith("value")]
        if len(values) == 1 and isinstance(values[0], dict):
            values = [values[0].get("reference")]
        if len(values) != 1 or not isinstance(values[0], str | bool):
            text = f"{where}: give one text, instant or reference as its value."
            raise FhirError(400, "value", text, expression=where)
        pairs.append((each["name"], str(values[0])))
    return pairs


class _Reader:
    def __init__(self, is_lenient: bool, level: Level, known: Sequence[str], method: str) -> None:
        self._is_lenient = is_lenient
        self._level = level
        self._known = frozenset(known)
        self._method = method
        self._notes: list[str] = []

    def read(self, pairs: Sequence[tuple[str, str]]) -> Asked:
        for name, _ in pairs:
            if name not in self._followed() | _TOLD_ELSEWHERE:
                self._leave_out(name[:64], "this server does not follow it in an export")
        for _, text in self._of(pairs, "_outputFormat"):
            # A "+" that a client did not escape arrives as a space.
            if text.replace(" ", "+") not in _FORMATS:
                raise invalid("_outputFormat", "this server writes application/fhir+ndjson")
        since, until = self._instant(pairs, "_since"), self._instant(pairs, "_until")
        if since is not None and until is not None and since > until:
            raise invalid("_until", "is before _since")
        kinds = self._kinds(pairs)
        patients = [self._patient(text) for _, text in self._of(pairs, PATIENT)]
        return Asked(
            kinds, tuple(self._filters(pairs, kinds)), since, until,
            tuple(sorted(set(patients))) if patients else None, tuple(self._notes),
        )  # fmt: skip

    def _followed(self) -> frozenset[str]:
        followed = frozenset({"_outputFormat", "_since", "_until", "_type", "_typeFilter"})
        takes_patients = self._method == "POST" and self._level is not Level.SYSTEM
        return followed | {PATIENT} if takes_patients else followed

    def _of(self, pairs: Sequence[tuple[str, str]], name: str) -> list[tuple[str, str]]:
        return [pair for pair in pairs if pair[0] == name and name in self._followed()]

    def _leave_out(self, name: str, why: str) -> None:
        if not self._is_lenient:
            raise invalid(name, f"{why}; Prefer: handling=lenient lets it be left out")
        self._notes.append(f"{name}: {why}; it was left out.")

    def _instant(self, pairs: Sequence[tuple[str, str]], name: str) -> datetime | None:
        given = self._of(pairs, name)
        if len(given) > 1:
            raise invalid(name, "can be given once")
        if not given:
            return None
        try:
            (bound,) = bounds("ge" + given[0][1].replace(" ", "+"))
        except ValueError as error:
            raise invalid(name, str(error)) from error
        return bound.instant

    def _kinds(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...] | None:
        given = self._of(pairs, "_type")
        if not given:
            return None
        kinds = dict.fromkeys(
            each.strip() for _, text in given for each in text.split(",") if each.strip()
        )
        if not kinds:
            raise invalid("_type", "has no value; leave it out, or name types")
        for kind in [kind for kind in kinds if kind not in self._known]:
            self._leave_out("_type", f"there is no {kind[:64]} here")
            del kinds[kind]
        return tuple(kinds)

    def _patient(self, text: str) -> UUID:
        found = reference_id(PATIENT, text, "Patient")
        if found is None:
            raise invalid(PATIENT, "is no reference to a Patient of this server")
        return found

    def _filters(
        self, pairs: Sequence[tuple[str, str]], kinds: tuple[str, ...] | None
    ) -> list[Filter]:
        name = "_typeFilter"
        texts = [one for _, text in self._of(pairs, name) for one in _NEXT_FILTER.split(text)]
        if len(texts) > _MOST_FILTERS:
            raise invalid(name, f"can be given {_MOST_FILTERS} times")
        found: dict[Filter, None] = {}
        for text in texts:
            match = _FILTER.fullmatch(text)
            if match is None:
                raise invalid(name, "write it as Observation?category=vital-signs")
            kind, query = match["kind"], match["query"]
            if kind not in self._known or (kinds is not None and kind not in kinds):
                self._leave_out(name, f"{kind} is not among the types that are exported")
                continue
            about = {each.partition(":")[0] for each, _ in pairs_of(query, f"http.{name}")}
            if wrong := about & _OF_THE_ANSWER:
                raise invalid(name, f"{min(wrong)} is of no use in an export")
            if self._level is not Level.SYSTEM and about & {PATIENT, "subject"}:
                raise invalid(name, "say whose resources you want with the Group, or with patient")
            found[Filter(kind, query)] = None
        return list(found)
