"""Entries of one transaction that come to the same resource: by id, or by a condition.

A conditional create promises that its condition finds one afterwards. Where the same transaction
makes another resource that it finds, too, there would be two, and each later send would fail (412):
nothing is done then.

Errors  FhirError 400
Source  R4 4.0.1 3.1.0.11.2 (a transaction fails where identities of its entries overlap)
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from wardlight_cloud.fhir.stored.asker import is_within
from wardlight_cloud.fhir.stored.refusing import refused
from wardlight_cloud.fhir.stored.targets import Target
from wardlight_cloud.fhir.stored.wishes import Wish
from wardlight_cloud.fhir.subscriptions.meeting import meets
from wardlight_cloud.store.resources import (
    Condition,
    HasText,
    Put,
    ResourceChange,
    ResourceQuery,
    TextValue,
)

_SAME: Final = "Two entries change the same resource."
_SAME_CONDITION: Final = (
    "Another entry makes what the condition of this one finds, so there would be two. Send one of "
    "them, or say the condition more closely."
)
_Places = dict[tuple[str, str, str], list[int]]


def refuse_repeats(wishes: Sequence[Wish], targets: Sequence[Target]) -> None:
    """Refuse two changes of one id."""
    seen: set[tuple[str, str]] = set()
    for wish, target in zip(wishes, targets, strict=True):
        if target.is_done:
            continue
        if (wish.kind, target.id) in seen:
            raise refused(wish, 400, "invalid", _SAME)
        seen.add((wish.kind, target.id))


async def refuse_overlaps(wishes: Sequence[Wish], changes: Sequence[ResourceChange]) -> None:
    """Refuse what makes two resources that the condition of one of them finds."""
    made = {at: change for at, change in enumerate(changes) if isinstance(change, Put)}
    if len(made) < 2:
        return
    by_value: _Places = defaultdict(list)
    for at, put in made.items():
        for value in put.index:
            if isinstance(value, TextValue):
                by_value[put.kind, value.param, value.value].append(at)
    asked: set[ResourceQuery] = set()
    for at, put in made.items():
        if put.expected is None or put.expected.id is not None:
            continue
        query = put.expected.query
        if query in asked or any(
            _finds(query, made[other])
            for other in _candidates(query, made, by_value)
            if other != at
        ):
            raise refused(wishes[at], 400, "multiple-matches", _SAME_CONDITION)
        asked.add(query)
        await asyncio.sleep(0)  # of a thousand: whoever asks for something else is served


def _candidates(query: ResourceQuery, made: dict[int, Put], by_value: _Places) -> Iterator[int]:
    """Places of what a query may find."""
    values = next((found for each in query.conditions if (found := _values(each))), None)
    if values is None:
        yield from made
        return
    for param, value in values:
        yield from by_value.get((query.kind, param, value), ())


def _values(condition: Condition) -> set[tuple[str, str]]:
    """What a resource must have one of; empty where that is not told by whole values."""
    if not isinstance(condition, HasText) or condition.negated or condition.is_other:
        return set()
    if any(each.value is None or each.how != "equal" for each in condition.any_of):
        return set()
    return {(condition.param, each.value) for each in condition.any_of if each.value is not None}


def _finds(query: ResourceQuery, put: Put) -> bool:
    return (
        put.kind == query.kind
        and is_within(put.kind, put.patients, query.patients)
        and all(meets(each, put.id, put.index) for each in query.conditions)
    )
