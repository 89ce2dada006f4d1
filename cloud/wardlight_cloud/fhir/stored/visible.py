"""Reading by id within limits: patients by the store, categories by what a resource says."""

from collections.abc import Sequence

from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.conditions import Limits
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.store.resources import (
    Condition,
    HasText,
    IndexValue,
    ResourceRow,
    ResourceStore,
    TextValue,
)


async def visible(
    store: ResourceStore, kind: str, ids: Sequence[str], limits: Limits, base: str = ""
) -> list[ResourceRow]:
    """Those of the ids that are within limits; deleted ones only where nothing but patients limits.

    What was deleted says no more which category it had.
    """
    rows = await store.resources_by_id(kind, ids, patients=limits.patients)
    return [
        row
        for row in rows
        if not limits.conditions
        or (row.body is not None and row_meets(limits.conditions, row, base))
    ]


def row_meets(conditions: Sequence[Condition], row: ResourceRow, base: str) -> bool:
    """Whether a version meets the conditions of a token."""
    if not conditions or row.body is None:
        return True
    return meets(conditions, index_values(parsed(whole(row)), base))


def meets(conditions: Sequence[Condition], index: Sequence[IndexValue]) -> bool:
    """The same, of what a resource is found by."""
    return all(_has(each, index) for each in conditions if isinstance(each, HasText))


def _has(condition: HasText, index: Sequence[IndexValue]) -> bool:
    own = {
        (each.system, each.value)
        for each in index
        if isinstance(each, TextValue) and each.param == condition.param
    }
    return any(
        match.value == value and match.system in (None, system)
        for match in condition.any_of
        for system, value in own
    )
