"""Whether a change is one that a subscription asks for, and that its subscriber may see.

A subscription is compiled once into conditions on values that a reading has, and on what a stored
resource is found by; both are looked at in memory, for one change may be one of thousands of
subscriptions. What is not looked at so (dates, quantities, chains) cannot be subscribed to.

Errors  FhirError 400 and 422 with what cannot be subscribed to; 403
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.addresses import with_local_references
from wardlight_cloud.fhir.search import OBSERVATION_PARAMETERS, observation_search
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.conditions import Limits
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS
from wardlight_cloud.fhir.subscriptions.definition import Definition, refused
from wardlight_cloud.security.access import Access, Interaction, Level, granted, permissions
from wardlight_cloud.store.base import ObservationQuery
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.resources import (
    AnyOf,
    Condition,
    HasAny,
    HasId,
    HasText,
    IndexValue,
    ResourceRow,
    TextMatch,
    TextValue,
)
from wardlight_cloud.store.subscriptions import SubscriptionRow

OBSERVATION: Final = "Observation"
OF_READINGS: Final = frozenset(
    {"patient", "subject", "device", "code", "component-code", "combo-code", "category"}
)
"""Parameters that readings can be subscribed to by."""

_IN_MEMORY: Final = frozenset({"token", "reference", "string", "uri"})
_LEVELS: Final = frozenset(Level)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A compiled subscription. ``readings`` None: none of them can be one of its.

    ``patients``: whose resources alone can be; None = anybody's.
    """

    kind: str
    readings: ObservationQuery | None
    limits: Limits
    conditions: tuple[Condition, ...]
    base: str
    patients: frozenset[UUID] | None

    def takes_reading(self, row: ObservationRow) -> bool:
        """Whether an Observation of readings is one of its."""
        return self.readings is not None and _is_found(self.readings, row)

    def takes_resource(self, row: ResourceRow, index: Sequence[IndexValue]) -> bool:
        """Whether a version of a resource is one of its."""
        if row.kind != self.kind or not is_within(row.kind, row.patients, self.limits.patients):
            return False
        return all(_meets(each, row.id, index) for each in self.conditions)


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
    for name, text in about.criteria:
        _check_name(about.kind, name)
        condition = criteria.condition(about.kind, name, text)
        conditions.append(condition)
    readings = _readings(about, asker) if about.kind == OBSERVATION else None
    patients = _patients(limits, conditions)
    return Wanted(about.kind, readings, limits, tuple(conditions), asker.base, patients)


def check_of_readings(about: Definition) -> None:
    """Refuse what readings are searched by and not looked at for: none would ever be told of.

    Asked when one is written: those of before go on with what others write.
    """
    for name, _ in about.criteria if about.kind == OBSERVATION else ():
        plain_name = name.partition(":")[0]
        if plain_name in OBSERVATION_PARAMETERS and plain_name not in OF_READINGS:
            raise refused(
                "criteria",
                f"{name[:64]}: Observations of readings cannot be subscribed to by this; "
                f"{', '.join(sorted(OF_READINGS))} can be used.",
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
    parameter = SEARCH_PARAMETERS[kind].get(plain_name)
    if plain_name == "_id" and kind != OBSERVATION:
        return
    if parameter is None or parameter.type not in _IN_MEMORY or "." in name:
        raise refused(
            "criteria",
            f"{name[:64]}: {kind} cannot be subscribed to by this; tokens, references, texts and "
            "addresses of its own can be used, without chains.",
        )


def _readings(about: Definition, asker: Asker) -> ObservationQuery | None:
    if any(name.partition(":")[0] not in OF_READINGS for name, _ in about.criteria):
        return None
    criteria = with_local_references(about.criteria, asker.base)
    found = observation_search(criteria, strict=True)
    if found.matches_nothing:
        return None
    isolation.admit(asker.request, isolation.access(asker.request), OBSERVATION, Interaction.SEARCH)
    return isolation.observations(asker.request, found.query)


def _is_found(query: ObservationQuery, row: ObservationRow) -> bool:
    """What ``wanted`` of observations.sql asks of a series, asked of an Observation."""
    origin = row.origin
    if query.patients is not None and origin.patient_id not in query.patients:
        return False
    if query.devices is not None and origin.device_id not in query.devices:
        return False
    if query.metrics is not None and origin.metric not in query.metrics:
        return False
    if query.sieve is not None:
        parts = list(zip(row.circumstances.kinds, row.mantissas, strict=True))
        if not query.sieve.takes(origin.metric, row.time_us, parts):
            return False
    among = query.component_metrics
    return any(
        (among is None or origin.metric in among or kind.metric in among)
        and (kind.metric, kind.unit) not in query.other_units
        for kind in row.circumstances.kinds
    )


def _meets(condition: Condition, resource_id: str, index: Sequence[IndexValue]) -> bool:
    match condition:
        case HasText():
            found = any(
                isinstance(value, TextValue)
                and value.param == condition.param
                and any(_is_text(match, value) for match in condition.any_of)
                for value in index
            )
            return found is not condition.negated
        case HasAny():
            return any(value.param == condition.param for value in index) is not condition.negated
        case HasId():
            return (resource_id in condition.ids) is not condition.negated
        case AnyOf():
            return any(
                all(_meets(each, resource_id, index) for each in one) for one in condition.sets
            )
    return False


def _is_text(match: TextMatch, value: TextValue) -> bool:
    if match.system is not None and match.system != value.system:
        return False
    if match.value is None:
        return True
    if match.how == "equal":
        return value.value == match.value
    if match.how == "prefix":
        return value.value.startswith(match.value)
    return match.value in value.value
