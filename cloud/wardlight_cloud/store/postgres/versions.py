"""ObservationVersionStore and CursorStore: what stood at a place before, and sealed positions.

A value stands from its commit until the commit that put it aside (docs/decisions/018). A version is
what stands after a commit that changed something of the Observation.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow
from wardlight_cloud.store.postgres.corrections import WITHDRAWALS, mark_of
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import Found
from wardlight_cloud.store.postgres.known import KnownFacts
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.sealed import Cursors
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import NOT_CLINICAL

_SQL: Final = statements("observation_versions")
_NEVER: Final = (1 << 63) - 1
_WRONG: Final = "wrong"  # it was posted to the wrong patient


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of one series, and when it stood. became: what was said when it was put aside."""

    series_id: int
    metric: int
    unit: str
    raw_unit: str | None
    since: int
    until: int
    became: str | None
    mantissa: int
    scale: int
    absent: int
    flags: int
    error_ms: int
    gateway_id: int
    offset_min: int
    clock: int
    raw_mantissa: int | None
    raw_scale: int | None
    device_time: str | None
    context: str | None

    def stands_at(self, seq: int) -> bool:
        return self.since <= seq < self.until


class VersionsPart(Part):
    """See ObservationVersionStore and CursorStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._sealed = Cursors(database.cursor_key)
        self._facts = KnownFacts()

    def seal_cursor(self, position: bytes, search: str) -> bytes:
        """See CursorStore."""
        return self._sealed.seal(position, search)

    def open_cursor(self, cursor: bytes, search: str) -> bytes:
        """See CursorStore."""
        position: bytes = self._sealed.open(cursor, search, bytes)
        return position

    @storage_call
    async def observation_versions(self, row: ObservationRow) -> tuple[ObservationRow, ...]:
        """See ObservationVersionStore."""
        assert isinstance(row, Found)  # noqa: S101 - pages of this store hold no others
        anchor, _, ord_ = row.key
        async with self._connections.acquire() as connection:
            found = await connection.fetch(
                _SQL["values_at"], anchor, row.time, ord_, int(NOT_CLINICAL), _NEVER
            )
            values = _with_marks([_Value(**each) for each in found])
            seqs = _commits(values, row.shared.assigned_seq, row.commit_seq)
            stored_at = await self._facts.stored_at(connection, seqs)
            gateways = await self._facts.gateways(connection, {each.gateway_id for each in values})
        before = []
        for seq in seqs:
            standing = [each for each in values if each.stands_at(seq)]
            before.append(_row(row, standing, gateways, stored_at[seq], seq))
        return *before, row


def _with_marks(values: Sequence[_Value]) -> list[_Value]:
    """Also the marks of withdrawals that something was put in the place of: nobody kept them."""
    marks = []
    for value in values:
        own = [each for each in values if each.series_id == value.series_id]
        if value.became in WITHDRAWALS and all(each.since != value.until for each in own):
            until = min((each.since for each in own if each.since > value.until), default=_NEVER)
            flags, absent, context = mark_of(value.flags, value.became)
            marks.append(
                replace(
                    value, since=value.until, until=until, became=None, mantissa=0, scale=0,
                    absent=absent, flags=flags, raw_mantissa=None, raw_scale=None,
                    context=json.dumps(context),
                )
            )  # fmt: skip
    return [*values, *marks]


def _commits(values: Iterable[_Value], assigned_seq: int, last: int) -> list[int]:
    """Of the versions before the last one."""
    of_others = (each.until for each in values if each.became == _WRONG)
    first = max(assigned_seq, *of_others, 0)
    made = {max(each.since, first) for each in values if each.until > first}
    return sorted(seq for seq in made if seq < last and any(each.stands_at(seq) for each in values))


def _row(
    now: Found, values: Sequence[_Value], gateways: Mapping[int, str], stored_at: datetime, seq: int
) -> ObservationRow:
    """The Observation of these values; the first that has details speaks for all."""
    parts = sorted(values, key=lambda each: each.metric)
    told = next((each for each in values if each.device_time or each.context), values[0])
    about = Circumstances(
        now.origin,
        tuple([Kind(p.metric, p.scale, p.absent, p.unit, p.flags) for p in parts]),
        gateways[told.gateway_id], told.offset_min, told.clock, told.error_ms,
        now.circumstances.device,
    )  # fmt: skip
    raw = None
    is_single = now.origin.metric == parts[0].metric
    if is_single and None not in (told.raw_unit, told.raw_mantissa, told.raw_scale):
        assert told.raw_mantissa is not None and told.raw_scale is not None  # noqa: S101
        number = format(decimal_from_parts(told.raw_mantissa, told.raw_scale), "f")
        raw = number, str(told.raw_unit)
    context = () if told.context is None else json.loads(told.context)
    return ObservationRow(
        now.observation_id, about, tuple([part.mantissa for part in parts]), now.time_us,
        told.device_time, raw, tuple([(name, value) for name, value in context]), seq, stored_at,
    )  # fmt: skip
