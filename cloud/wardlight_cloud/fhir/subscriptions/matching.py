"""Whether a change is one that a subscription asks for, and that its subscriber may see.

A subscription is compiled once into the query of readings and the conditions on stored resources
that a search with the same criteria makes; both are looked at in memory, for one change may be one
of thousands of subscriptions. What leads to other resources (chains, _has), or asks when something
was stored, cannot be subscribed to.

Errors  FhirError 400 and 422 with what cannot be subscribed to; 403
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.addresses import with_local_references
from wardlight_cloud.fhir.observation_searches import excludes_readings, is_of_stored
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.composites import COMPOSITES, Takes, composite
from wardlight_cloud.fhir.stored.conditions import Limits
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS
from wardlight_cloud.fhir.subscriptions.definition import Definition, refused
from wardlight_cloud.fhir.subscriptions.meeting import has_lost, is_found, meets
from wardlight_cloud.security.access import Access, Interaction, Level, granted, permissions
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.resources import Condition, HasText, IndexValue, ResourceRow, TextMatch
from wardlight_cloud.store.subscriptions import ObservationChange, SubscriptionRow

OBSERVATION: Final = "Observation"
_LEVELS: Final = frozenset(Level)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A compiled subscription. ``readings`` None: none of them can be one of its.

    ``patients``: whose resources alone can be; None = anybody's. ``tests``: what else a stored
    resource must be, which its index cannot tell.
    """

    kind: str
    readings: ObservationQuery | None
    limits: Limits
    conditions: tuple[Condition, ...]
    base: str
    patients: frozenset[UUID] | None
    tests: tuple[Takes, ...] = ()

    def takes_reading(self, row: ObservationRow) -> bool:
        """Whether an Observation of readings is one of its."""
        return self.readings is not None and is_found(self.readings, row)

    def takes_change(self, change: ObservationChange) -> bool:
        """The same of one that came or left; what gave it to another one tells of that."""
        if not change.is_left:
            return self.takes_reading(change.row)
        return self.readings is not None and has_lost(self.readings, change)

    def takes_resource(self, row: ResourceRow, index: Sequence[IndexValue]) -> bool:
        """Whether a version of a resource is one of its."""
        if row.kind != self.kind or not is_within(row.kind, row.patients, self.limits.patients):
            return False
        return all(meets(each, row.id, index) for each in self.conditions) and all(
            test(row) for test in self.tests
        )


def access_of(row: SubscriptionRow) -> Access | None:
    """What the subscriber may do by now; None = nothing any more.

    Scopes of the token that it was made with, as far as the client still has them.
    """
    if row.allowed is None:
        return None
    who = row.subscriber
    scopes = granted(who.scopes, row.allowed, _LEVELS)
    return Access(who.client, permissions(scopes), user=who.login, patient=who.patient)


def needed(about: Definition) -> tuple[Interaction, ...]:
    """Interactions with the kind that the scopes must permit."""
    whole = about.content == "full-resource"
    return (Interaction.SEARCH, Interaction.READ) if whole else (Interaction.SEARCH,)


def compiled(about: Definition, asker: Asker) -> Wanted:
    """The conditions of a subscription, within what its subscriber reaches."""
    for interaction in needed(about):
        asker.limits(about.kind, interaction)
    limits = asker.limits(about.kind)
    criteria = asker.criteria()
    conditions = list(limits.conditions)
    tests: list[Takes] = []
    for name, text in about.criteria:
        if about.kind == OBSERVATION and name in COMPOSITES:
            condition, test = composite(name, text, asker.base)
            tests.append(test)
        else:
            _check_name(about.kind, name)
            condition = criteria.condition(about.kind, name, text)
        conditions.append(condition)
    readings = _readings(about, asker) if about.kind == OBSERVATION else None
    patients = _patients(limits, conditions)
    return Wanted(
        about.kind, readings, limits, tuple(conditions), asker.base, patients, tuple(tests)
    )


def _patients(limits: Limits, conditions: Sequence[Condition]) -> frozenset[UUID] | None:
    """One set that every resource must have a patient of: it refers to them, so it is theirs."""
    if limits.patients is not None:
        return frozenset(limits.patients)
    for each in conditions:
        if isinstance(each, HasText) and not each.negated and each.param in ("patient", "subject"):
            ids = [_patient(match) for match in each.any_of]
            known = frozenset(found for found in ids if found is not None)
            if len(known) == len(set(each.any_of)):
                return known
    return None


def _patient(match: TextMatch) -> UUID | None:
    kind, _, name = (match.value or "").partition("/")
    try:
        return UUID(name) if kind == "Patient" and match.how == "equal" else None
    except ValueError:
        return None


def _check_name(kind: str, name: str) -> None:
    plain_name = name.partition(":")[0]
    if "." in name or (plain_name != "_id" and plain_name not in SEARCH_PARAMETERS[kind]):
        raise _cannot_be(kind, name)


def _cannot_be(kind: str, name: str) -> FhirError:
    return refused(
        "criteria",
        f"{name[:64]}: {kind} cannot be subscribed to by this; search parameters of its own can be "
        "used, without chains, _has and _lastUpdated.",
    )


def _readings(about: Definition, asker: Asker) -> ObservationQuery | None:
    if any(excludes_readings(*pair) for pair in about.criteria):
        return None
    of_readings = [pair for pair in about.criteria if not is_of_stored(pair[0])]
    found = observation_search(with_local_references(of_readings, asker.base), strict=True)
    if found.matches_nothing:
        return None
    isolation.admit(asker.request, isolation.access(asker.request), OBSERVATION, Interaction.SEARCH)
    return isolation.observations(asker.request, found.query)
