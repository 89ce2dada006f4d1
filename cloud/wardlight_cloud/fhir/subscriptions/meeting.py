"""Conditions of a search, looked at in memory: of a reading, and of what a resource is found by.

The store looks at the same ones by columns and indexes; a subscription's events are what its
search would find (tests/integration/subscriptions/test_matching.py).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from wardlight_cloud.fhir.search_moments import span_of
from wardlight_cloud.fhir.stored.comparing import compares
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.resources import (
    AnyOf,
    Condition,
    HasAny,
    HasId,
    HasRange,
    HasText,
    IndexValue,
    RangeValue,
    TextMatch,
    TextValue,
)
from wardlight_cloud.store.subscriptions import ObservationChange


def is_found(query: ObservationQuery, row: ObservationRow) -> bool:
    """Whether a search of readings finds an Observation; ``stored`` is not looked at."""
    origin = row.origin
    if query.patients is not None and origin.patient_id not in query.patients:
        return False
    if query.devices is not None and origin.device_id not in query.devices:
        return False
    if query.metrics is not None and origin.metric not in query.metrics:
        return False
    if query.ids is not None and row.observation_id not in query.ids:
        return False
    if row.observation_id in query.without_ids or not _is_within(query, row):
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


def has_lost(query: ObservationQuery, change: ObservationChange) -> bool:
    """Whether a search found what left a patient, and does not find it as it is now."""
    if not is_found(query, change.row):
        return False
    if change.holder is None:
        return True
    about = change.row.circumstances
    origin = replace(about.origin, patient_id=change.holder)
    return not is_found(query, replace(change.row, circumstances=replace(about, origin=origin)))


def _is_within(query: ObservationQuery, row: ObservationRow) -> bool:
    if not query.times:
        return True
    low, high = span_of(query.times)
    return low <= row.time < high


def meets(condition: Condition, resource_id: str, index: Sequence[IndexValue]) -> bool:
    """Whether a resource that is found by ``index`` meets a condition; False for chains."""
    match condition:
        case HasText():
            found = any(
                isinstance(value, TextValue)
                and value.param == condition.param
                and any(_is_text(match, value) for match in condition.any_of)
                for value in index
            )
            return found is not condition.negated
        case HasRange():
            return any(
                isinstance(value, RangeValue)
                and value.param == condition.param
                and any(compares(match, value) for match in condition.any_of)
                for value in index
            )
        case HasAny():
            return any(value.param == condition.param for value in index) is not condition.negated
        case HasId():
            return (resource_id in condition.ids) is not condition.negated
        case AnyOf():
            return any(
                all(meets(each, resource_id, index) for each in one) for one in condition.sets
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
