"""Chains that name people by identifier: refused where several Patients have it.

What a search finds by such a chain would be of two people, and look as if it were of one. Only
Patients in reach of the search count; each identifier of a list is meant to name one person.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import (
    AnyOf,
    Condition,
    HasText,
    IsReferredTo,
    RefersTo,
    SeveralPeople,
)

_SQL: Final = statements("resources")
_PATIENT: Final = "Patient"
_IDENTIFIER: Final = "identifier"


async def refuse_several(connection: Connection, conditions: Sequence[Condition]) -> None:
    """Raise SeveralPeople for an identifier of a chain that several Patients have."""
    for chain in _chains(conditions):
        named = [
            (match.value, match.system)
            for each in chain.conditions
            if isinstance(each, HasText) and each.param == _IDENTIFIER and not each.negated
            for match in each.any_of
            if match.value is not None
        ]
        if not named:
            continue
        values, systems = (list(column) for column in zip(*named, strict=True))
        if await connection.fetchval(_SQL["names_several"], values, systems, chain.patients):
            raise SeveralPeople(chain.param)


def _chains(conditions: Sequence[Condition]) -> Iterator[RefersTo]:
    for each in conditions:
        match each:
            case RefersTo():
                if each.kind == _PATIENT:
                    yield each
                yield from _chains(each.conditions)
            case IsReferredTo():
                yield from _chains(each.conditions)
            case AnyOf():
                for one in each.sets:
                    yield from _chains(one)
