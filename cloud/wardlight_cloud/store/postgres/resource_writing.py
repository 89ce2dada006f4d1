"""One transaction of changes to stored resources: conditions, rows, versions, index.

All of it but the rows themselves is done before take_commit(), for which all writers of the store
wait; ``lock_resources`` keeps other writers of resources out from the first look on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from wardlight_cloud.store.postgres.connections import Connection, Connections
from wardlight_cloud.store.postgres.register import (
    put_columns,
    take_commit,
    taken_identifier,
)
from wardlight_cloud.store.postgres.resource_reading import found, plan
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import (
    Conflict,
    Delete,
    Expect,
    Expectation,
    Happened,
    Put,
    RangeValue,
    ResourceChange,
    TextValue,
    Written,
)

_SQL: Final = statements("resources")
_OPEN: Final = Decimal(10) ** 30  # an end that is not there, beyond all times and most numbers
_Identity = tuple[str, str]


@dataclass(slots=True)
class _Held:
    """A resource as it is before the change."""

    key: int
    commit_seq: int
    stored_at: datetime
    patients: Sequence[Any]
    body: bytes | None


@dataclass(slots=True)
class _Step:
    """A change that is to be made, and what it is made to."""

    change: Put | Delete
    held: _Held | None

    @property
    def happens(self) -> Happened:
        is_there = self.held is not None and self.held.body is not None
        if isinstance(self.change, Delete):
            return Happened.DELETED if is_there else Happened.UNCHANGED
        if not is_there:
            return Happened.CREATED
        assert self.held is not None  # noqa: S101 - it is there
        is_same = self.held.body == self.change.body
        return Happened.UNCHANGED if is_same else Happened.UPDATED


async def write(
    connections: Connections, changes: Sequence[ResourceChange]
) -> tuple[Written, ...] | Conflict:
    """See ResourceStore.write_resources."""
    _refuse_repeats(changes)
    async with connections.transaction() as connection:
        await connection.fetchval(_SQL["lock_resources"])
        steps = await _steps(connection, changes)
        conflict = await _conflict(connection, changes, steps)
        if conflict is not None:
            return conflict
        made = {place: step for place, step in steps.items() if _makes_a_version(step)}
        conflict = await _taken(connection, made)
        if conflict is not None:
            return conflict
        commit = await _make(connection, list(made.values())) if made else None
    return tuple(
        _written(steps.get(place), commit if place in made else None)
        for place in range(len(changes))
    )


def _makes_a_version(step: _Step) -> bool:
    return step.happens is not Happened.UNCHANGED


def _refuse_repeats(changes: Sequence[ResourceChange]) -> None:
    names = [(each.kind, each.id) for each in changes if not isinstance(each, Expect)]
    if len(set(names)) < len(names):
        raise ValueError("two changes name the same resource")


async def _steps(connection: Connection, changes: Sequence[ResourceChange]) -> dict[int, _Step]:
    """Changes by their place."""
    wanted = {
        place: change for place, change in enumerate(changes) if not isinstance(change, Expect)
    }
    rows = await connection.fetch(
        _SQL["held_resources"],
        [each.kind for each in wanted.values()],
        [each.id for each in wanted.values()],
    )
    held: dict[_Identity, _Held] = {
        (row["kind"], row["id"]): _Held(
            row["resource_key"], row["commit_seq"], row["stored_at"], row["patients"], row["body"]
        )
        for row in rows
    }
    return {
        place: _Step(change, held.get((change.kind, change.id))) for place, change in wanted.items()
    }


async def _conflict(
    connection: Connection, changes: Sequence[ResourceChange], steps: dict[int, _Step]
) -> Conflict | None:
    for place, change in enumerate(changes):
        if place in steps and not _has_version(steps[place]):
            return Conflict(place, "version")
        if change.expected is not None and not await _is_met(connection, change.expected):
            return Conflict(place, "expectation")
    return None


async def _taken(connection: Connection, made: dict[int, _Step]) -> Conflict | None:
    """The first Patient that would get another one's identifier."""
    places = {
        step.change.patient.patient_id: (place, step.change.patient)
        for place, step in made.items()
        if isinstance(step.change, Put) and step.change.patient is not None
    }
    taken = await taken_identifier(connection, [patient for _, patient in places.values()])
    if taken is None:
        return None
    patient_id, identifier = taken
    return Conflict(places[patient_id][0], "identifier", identifier)


def _has_version(step: _Step) -> bool:
    wanted = step.change.if_version
    if wanted is None:
        return True
    held = step.held if step.held is not None and step.held.body is not None else None
    return wanted == (0 if held is None else held.commit_seq)


async def _is_met(connection: Connection, expected: Expectation) -> bool:
    await plan(connection)
    rows = await found(connection, replace(expected.query, count=1, after=None), None)
    return [row.id for row in rows] == ([] if expected.id is None else [expected.id])


async def _make(connection: Connection, steps: Sequence[_Step]) -> tuple[int, datetime]:
    """Write rows, versions and index; the commit comes as late as it can."""
    held = [step for step in steps if step.held is not None]
    keys = [step.held.key for step in held if step.held is not None]
    await connection.execute(_SQL["clear_texts"], keys)
    await connection.execute(_SQL["clear_ranges"], keys)
    await _add_index(connection, held, keys)
    commit_seq, stored_at = await take_commit(connection)
    for step in steps:
        if isinstance(step.change, Put) and step.change.patient is not None:
            await put_columns(connection, step.change.patient, commit_seq, stored_at)
    await connection.execute(
        _SQL["change_resources"], commit_seq, stored_at, keys,
        [_patients(step) for step in held], [_body(step) for step in held],
    )  # fmt: skip
    new = [step for step in steps if step.held is None]
    new_keys = await _add(connection, new, commit_seq, stored_at)
    await _add_index(connection, new, new_keys)
    await connection.execute(_SQL["add_versions"], keys + new_keys)
    return commit_seq, stored_at


async def _add(
    connection: Connection, steps: Sequence[_Step], commit_seq: int, stored_at: datetime
) -> list[int]:
    """Keys of resources that were never there before, in the order of the steps."""
    if not steps:
        return []
    rows = await connection.fetch(
        _SQL["add_resources"], commit_seq, stored_at,
        [step.change.kind for step in steps], [step.change.id for step in steps],
        [_patients(step) for step in steps], [_body(step) for step in steps],
    )  # fmt: skip
    keys = {(row["kind"], row["id"]): row["resource_key"] for row in rows}
    return [keys[step.change.kind, step.change.id] for step in steps]


def _patients(step: _Step) -> str:
    """A deleted resource stays in the compartments that it was in."""
    if isinstance(step.change, Put):
        return ",".join(str(each) for each in step.change.patients)
    return ",".join(str(each) for each in step.held.patients) if step.held is not None else ""


def _body(step: _Step) -> bytes | None:
    return step.change.body if isinstance(step.change, Put) else None


async def _add_index(connection: Connection, steps: Sequence[_Step], keys: Sequence[int]) -> None:
    texts: list[tuple[int, str, str, str]] = []
    ranges: list[tuple[int, str, Decimal, Decimal, str, bool]] = []
    for step, key in zip(steps, keys, strict=True):
        if not isinstance(step.change, Put):
            continue
        kind = step.change.kind
        values = step.change.index
        texts += [
            (key, f"{kind}.{each.param}", each.value, each.system)
            for each in values
            if isinstance(each, TextValue)
        ]
        own = [each for each in values if isinstance(each, RangeValue)]
        ranges += [(key, *each) for each in _ranges(kind, own)]
    if texts:
        await connection.execute(_SQL["add_texts"], *_columns(texts))
    if ranges:
        await connection.execute(_SQL["add_ranges"], *_columns(ranges))


def _ranges(
    kind: str, values: Iterable[RangeValue]
) -> list[tuple[str, Decimal, Decimal, str, bool]]:
    """Rows of one resource; the first of each param is what it is sorted by."""
    ends = [
        (
            f"{kind}.{each.param}",
            -_OPEN if each.low is None else each.low,
            _OPEN if each.high is None else each.high,
            each.unit,
        )
        for each in values
    ]
    found: list[tuple[str, Decimal, Decimal, str, bool]] = []
    last = None
    for end in sorted(set(ends)):
        found.append((*end, end[0] != last))
        last = end[0]
    return found


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _written(step: _Step | None, commit: tuple[int, datetime] | None) -> Written:
    if step is None:
        return Written(Happened.UNCHANGED, None, None)
    if commit is not None:
        return Written(step.happens, *commit)
    if step.held is None:
        return Written(Happened.UNCHANGED, None, None)
    return Written(Happened.UNCHANGED, step.held.commit_seq, step.held.stored_at)
