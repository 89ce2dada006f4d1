"""What an export will do, step by step, decided when it is asked for, with the asker's reach.

A plan is kept with the export. Who works on it does what it says, as the one who asked: searches go
through the same face and the same isolation.

    readings  Observations of readings, by the store's query
    stored    resources that others wrote, all of them or those of a search
    own       what this server makes itself, page after page of its own search

Source  HL7 Bulk Data Access 2.0
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from starlette.requests import Request

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.bulk.asked import Asked, Filter, Level
from wardlight_cloud.fhir.capability import OWN_SEARCHES, search_parameters
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN, NOBODYS, STORED
from wardlight_cloud.security.access import Access, Interaction, permissions
from wardlight_cloud.store.queries import ObservationQuery

OBSERVATION: Final = "Observation"
_ECGS: Final = "category=procedure"
_WAVEFORMS: Final = "category=urn:wardlight:observation-kind|waveform"
_ONLY_NAMED: Final = frozenset({"AuditEvent"})
"""Kinds that grow with every request, and are no patient's record: exported when ``_type`` says."""
_READINGS_FOLLOW: Final = frozenset({"category", "code", "date", "component-code", "combo-code"})


class Step(msgspec.Struct, frozen=True):
    """One source. ``patients`` None = of all; ``of_patients``: a patient each, or nobody's too.

    ``one_by_one``: searched patient by patient. ``searches``: query strings, any of which finds.
    """

    kind: str
    source: Literal["readings", "stored", "own"]
    patients: tuple[UUID, ...] | None = None
    of_patients: bool = False
    one_by_one: bool = False
    query: ObservationQuery | None = None
    searches: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """All steps, on whose behalf, and at which address."""

    base: str
    client: str
    login: str | None
    patient: UUID | None
    scopes: tuple[str, ...]
    since: datetime | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    def access(self) -> Access:
        """As who the steps are done."""
        return Access(self.client, permissions(self.scopes), user=self.login, patient=self.patient)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it exports."""
        return tuple(dict.fromkeys(step.kind for step in self.steps))


def encoded(plan: Plan) -> bytes:
    """As it is kept."""
    return msgspec.json.encode(plan)


def decoded(text: bytes) -> Plan:
    """Undo ``encoded``; msgspec.DecodeError where another version wrote it."""
    return msgspec.json.decode(text, type=Plan)


def planned(
    request: Request, asked: Asked, level: Level, base: str, members: Sequence[UUID] | None
) -> Plan:
    """The plan of a request; ``members``: whose resources, None = everybody's.

    Errors: FhirError 403 for a type that was named and is not permitted, or when none is.
    """
    access = isolation.access(request)
    notes = list(asked.notes)
    if asked.kinds is None:
        known = [kind for kind in search_parameters() if kind not in _ONLY_NAMED]
        kinds = [kind for kind in known if _is_permitted(access, kind)]
        if level is not Level.SYSTEM:
            kinds = [kind for kind in kinds if is_of_patients(kind)]
    else:
        kinds = list(asked.kinds)
        for kind in kinds:
            _admit(request, kind)
            if level is not Level.SYSTEM and not is_of_patients(kind):
                notes.append(f"{kind} is no patient's: ask for it with /fhir/$export.")
        kinds = [kind for kind in kinds if level is Level.SYSTEM or is_of_patients(kind)]
    if not kinds:
        raise FhirError(403, "forbidden", "The token permits none of what is asked for.")
    steps: list[Step] = []
    for kind in kinds:
        filters = [each for each in asked.filters if each.kind == kind]
        steps += _steps(request, kind, level, members, filters)
    scopes = tuple(str(each) for each in access.permissions)
    return Plan(
        base,
        access.client,
        access.user,
        access.patient,
        scopes,
        asked.since,
        tuple(steps),
        tuple(notes),
    )


def is_of_patients(kind: str) -> bool:
    """Whether resources of a kind can be a patient's."""
    if kind in STORED and kind not in NOBODYS:
        return True
    return "patient" in search_parameters().get(kind, {})


def _is_permitted(access: Access, kind: str) -> bool:
    found = access.to(kind, Interaction.SEARCH)
    return found is not None and access.to(kind, Interaction.READ) == found


def _admit(request: Request, kind: str) -> None:
    """Let isolation narrow what follows as it narrows searches of this kind."""
    wanted = isolation.reach_to(request, kind, Interaction.SEARCH)
    if isolation.reach_to(request, kind, Interaction.READ) != wanted:
        text = f"The token reads other {kind} resources than it searches; an export needs both."
        raise FhirError(403, "forbidden", text)
    isolation.admit(request, isolation.access(request), kind, Interaction.SEARCH)


def _steps(
    request: Request,
    kind: str,
    level: Level,
    members: Sequence[UUID] | None,
    filters: Sequence[Filter],
) -> list[Step]:
    _admit(request, kind)
    of_patients = level is not Level.SYSTEM
    patients = isolation.reach(request).among(members)
    searches = tuple(each.query for each in filters)
    made: list[Step] = []
    if kind == OBSERVATION:
        made += _readings(request, patients, searches)
    elif kind in OWN_SEARCHES or kind in BESIDE_OWN or kind not in STORED:
        # A Device says whose it is only when somebody asks for that patient's.
        one_by_one = patients is not None or (of_patients and kind == "Device")
        has_patient = "patient" in search_parameters().get(kind, {})
        if has_patient or not of_patients:
            made.append(
                Step(
                    kind, "own", patients if has_patient else None, of_patients,
                    one_by_one and has_patient, None, searches,
                )
            )  # fmt: skip
    if kind in STORED:
        whose = None if kind in NOBODYS and not of_patients else patients
        made.append(Step(kind, "stored", whose, of_patients, searches=searches))
    return made


def _readings(
    request: Request, patients: tuple[UUID, ...] | None, searches: tuple[str, ...]
) -> list[Step]:
    """Readings by one query where one says it all, else as their own search finds them."""
    one_by_one = patients is not None
    if not searches:
        query = isolation.observations(request, ObservationQuery(patients=patients))
        made = [] if query is None else [Step(OBSERVATION, "readings", query=query)]
        beside = (_ECGS, _WAVEFORMS) if isolation.sees_ecgs(request) else (_WAVEFORMS,)
        made.append(Step(OBSERVATION, "own", patients, True, one_by_one, None, beside))
        return made
    if len(searches) == 1 and (plain := _plain(searches[0])) is not None:
        if plain.metrics == () or plain.component_metrics == ():
            return []
        query = isolation.observations(request, replace(plain, patients=patients))
        return [] if query is None else [Step(OBSERVATION, "readings", query=query)]
    return [Step(OBSERVATION, "own", patients, True, one_by_one, None, searches)]


def _plain(search: str) -> ObservationQuery | None:
    """The query of a search for readings, where times and what was measured are all it says."""
    pairs = parse_qsl(search, keep_blank_values=True)
    if not {name for name, _ in pairs} <= _READINGS_FOLLOW or _is_of_ecgs(pairs):
        return None
    found = observation_search(pairs, strict=True).query
    plain = replace(
        ObservationQuery(), metrics=found.metrics, component_metrics=found.component_metrics,
        other_units=found.other_units, times=found.times,
    )  # fmt: skip
    return plain if replace(found, order=plain.order, count=plain.count) == plain else None


def _is_of_ecgs(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether ECGs of images may be meant: their own search answers."""
    return any("procedure" in text or "11524-6" in text for name, text in pairs if name != "date")
