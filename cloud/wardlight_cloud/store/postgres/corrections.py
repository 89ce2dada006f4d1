"""What takes whose place when a sender says something else of a reading it sent before. Pure.

A statement (a correction, or a withdrawal) and what it is about are told with the same device time,
of the same metric of the same device, user and site: that is a place (docs/decisions/018). Of the
statements about a place the one that was told last holds. It takes the place of whatever stands
there: its value goes to where the first value stood, so that it has the id of that Observation, and
a withdrawal leaves a mark that holds no value.
"""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from wardlight_cloud.store.batch import Detail, IngestBatch
from wardlight_cloud.store.postgres.rows import Rows
from wardlight_cloud.store.postgres.sources import Records
from wardlight_shared.model import CODE_BY_ABSENT, NOT_CLINICAL, Absent, Flag

CORRECTED: Final = "corrected"
WITHDRAWN: Final = int(Flag.WITHDRAWN)
_STATEMENT: Final = int(Flag.CORRECTED | Flag.WITHDRAWN)
_NO_ORIGINAL: Final = int(Flag.CORRECTED | Flag.WITHDRAWN | Flag.EARLY)
_OF_TIME: Final = int(
    Flag.TIME_UNCERTAIN | Flag.LATE | Flag.DEVICE_CLOCK_UNSET | Flag.DEVICE_CLOCK_FAR
)
_INVALID: Final = CODE_BY_ABSENT[Absent.INVALID]
_REPEATS: Final = 255  # the low bits of an ord count the values of one series in one event
_LONGEST_DEVICE_TIME: Final = 64  # it stands in indexes, and comes from a gateway
WITHDRAWALS: Final = frozenset({"deleted", "wrong"})
_NOT_CLINICAL: Final = int(NOT_CLINICAL)


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the table of readings, with what its detail says of its time."""

    series_id: int
    time_us: int
    ord: int
    mantissa: int
    scale: int
    absent: int
    flags: int
    error_ms: int
    gateway_id: int
    offset_min: int
    clock: int
    skew_s: int | None


_COLUMNS: Final = tuple(field.name for field in fields(Standing) if field.name != "skew_s")


@dataclass(frozen=True, slots=True)
class Told:
    """A row of a call with its detail and the number of its record, the first if it has two."""

    row: Standing
    device_time: str
    epoch: int
    seq: int
    record: tuple[int, int]  # (batch, record) in the call
    place: int  # of the row in the columns of its batch
    detail: Detail

    @property
    def value(self) -> tuple[int, int, int]:
        """(mantissa, scale, absent)."""
        return self.row.mantissa, self.row.scale, self.row.absent

    @property
    def repeat(self) -> int:
        """Which of the values of its series in its event."""
        return repeat_of(self.row)

    @property
    def status(self) -> str:
        """What a statement says of its place."""
        if self.row.flags & Flag.CORRECTED:
            return CORRECTED
        said = dict(self.detail.context).get("status", "")
        return said if said in WITHDRAWALS else "deleted"


@dataclass(frozen=True, slots=True)
class Holder:
    """The statement that holds at a place. is_awaited: what it is about has not come yet."""

    correction_id: int
    status: str
    gateway_id: int
    epoch: int
    seq: int
    is_awaited: bool

    def was_told_after(self, told: Told) -> bool:
        """Whether it is known to be the later one; between gateways nobody knows."""
        mine = self.gateway_id, self.epoch
        return mine == (told.row.gateway_id, told.epoch) and told.seq < self.seq


@dataclass(frozen=True, slots=True)
class Put:
    """A row to be stored, and its detail."""

    row: Standing
    device_time: str
    raw: tuple[int | None, int | None]  # mantissa, scale
    context: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one place: who holds there, rows to take out, rows to store."""

    holder: Holder | None
    gone: list[Standing]
    put: list[Put]


def apart(rows: Rows, records: Sequence[Records]) -> tuple[Rows, Rows]:
    """Rows without statements, and statements; most calls have none, and pay one look."""
    is_said = (rows.flags & _STATEMENT) != 0
    if not is_said.any():
        return rows, rows.take(np.zeros(0, np.int64))
    # Without a device time nobody can tell what it is about: it stands for itself.
    dated = {(told.record[0], told.place) for told in told_of(rows.take(is_said), records)}
    pairs = zip(rows.batch.tolist(), rows.place.tolist(), strict=True)
    is_said &= np.array([pair in dated for pair in pairs], np.bool_)
    return rows.take(~is_said), rows.take(is_said)


def told_of(rows: Rows, records: Sequence[Records]) -> list[Told]:
    """Clinical rows that say which moment they are of, in their order."""
    details = {
        (batch, detail.row): detail
        for batch in set(rows.batch.tolist())
        for detail in records[batch].batch.details
        if detail.device_time is not None and len(detail.device_time) <= _LONGEST_DEVICE_TIME
    }
    columns = [getattr(rows, name).tolist() for name in ("batch", "place", *_COLUMNS)]
    found = [
        _told(records[batch].batch, (batch, place), _standing(values, detail), detail)
        for batch, place, *values in zip(*columns, strict=True)
        if (detail := details.get((batch, place))) is not None
    ]
    return [told for told in found if not told.row.flags & _NOT_CLINICAL]


def _standing(values: Sequence[int], detail: Detail) -> Standing:
    return Standing(**dict(zip(_COLUMNS, values, strict=True)), skew_s=detail.skew_s)


def _told(batch: IngestBatch, place: tuple[int, int], row: Standing, detail: Detail) -> Told:
    record = int(batch.readings.record_of_row[place[1]])
    seq = int(batch.seqs[record])
    epoch, first = batch.origins.get(seq, (batch.epoch, seq))
    number = (epoch, first) if first else (batch.epoch, seq)
    return Told(row, detail.device_time or "", *number, (place[0], record), place[1], detail)


def settled(
    said: Sequence[tuple[int, Told]],
    held: Holder | None,
    standing: Sequence[Standing],
    crowded: Container[tuple[int, int, int]],
) -> Outcome:
    """Statements with their ids come to a place where ``held`` holds and these rows stand.

    ``crowded`` are events with more values of a series than were told of now. Where nobody can tell
    what is meant, the statements stand for themselves.
    """
    holder, winner = held, None
    for correction_id, told in said:
        if holder is None or not holder.was_told_after(told):
            winner = told
            holder = Holder(
                correction_id, told.status, told.row.gateway_id, told.epoch, told.seq,
                held is None or held.is_awaited,
            )  # fmt: skip
    assert holder is not None  # noqa: S101 - somebody has said something
    if any(not row.flags & _NO_ORIGINAL for row in standing):
        holder = replace(holder, is_awaited=False)
    if winner is None:
        return Outcome(holder, [], [])
    targets = _targets(winner, standing)
    if targets is None or any(event_of(row) in crowded for row in targets):
        return Outcome(held, [], [_correction(told, None) for _, told in said])
    if winner.status != CORRECTED:
        marks = [withdrawal(row, winner.device_time, winner.status) for row in targets]
        return Outcome(holder, targets, marks)
    seat = _seat(winner, standing)
    others = [row for row in targets if row is not seat]
    put = [withdrawal(row, winner.device_time, winner.status) for row in others]
    gone = others if seat is None else [seat, *others]
    return Outcome(holder, gone, [*put, _correction(winner, seat)])


def _targets(winner: Told, standing: Sequence[Standing]) -> list[Standing] | None:
    """The values that are no longer; None: there are several, and nobody can tell which is meant.

    A withdrawal means all of them. A correction means the one before it, else the only value there,
    in its own unit if there is one. Early values go with what they announced.
    """
    values = [row for row in standing if not row.flags & WITHDRAWN]
    if winner.status != CORRECTED:
        return values
    early = [row for row in values if row.flags & _NO_ORIGINAL == Flag.EARLY]
    corrected = [row for row in values if row.flags & Flag.CORRECTED]
    if corrected:
        return corrected + early
    final = [row for row in values if row not in early]
    final = [row for row in final if row.series_id == winner.row.series_id] or final
    if len({(row.series_id, row.mantissa, row.scale, row.absent) for row in final}) > 1:
        return None
    return final + early


def repeat_of(row: Standing) -> int:
    """Which of the values of its series in its event."""
    return row.ord & _REPEATS


def event_of(row: Standing) -> tuple[int, int, int]:
    """What the values of a series have in common that came in one event."""
    return row.series_id, row.time_us, row.ord // (_REPEATS + 1)


def _seat(winner: Told, standing: Sequence[Standing]) -> Standing | None:
    """Where a correction goes: a correction's place, else that of the first value told."""
    own = [row for row in standing if row.series_id == winner.row.series_id]
    return min(own, key=_rank, default=None)


def _rank(row: Standing) -> int:
    if row.flags & Flag.CORRECTED:
        return 0
    if row.flags & WITHDRAWN:
        return 3
    return 2 if row.flags & Flag.EARLY else 1


def _correction(winner: Told, seat: Standing | None) -> Put:
    """The value of a correction. At a seat, the time is the seat's, with all that is said of it."""
    row, detail = winner.row, winner.detail
    at = row if seat is None else seat
    flags = row.flags & ~_OF_TIME | at.flags & _OF_TIME
    stored = Standing(
        at.series_id, at.time_us, at.ord, row.mantissa, row.scale, row.absent, flags, at.error_ms,
        row.gateway_id, at.offset_min, at.clock, at.skew_s,
    )  # fmt: skip
    raw = detail.raw_mantissa, detail.raw_scale
    return Put(stored, winner.device_time, raw, detail.context)


def withdrawal(row: Standing, device_time: str, status: str) -> Put:
    """The mark that is left where a value stood: when, and that it was none."""
    flags, absent, context = mark_of(row.flags, status)
    mark = Standing(
        row.series_id, row.time_us, row.ord, 0, 0, absent, flags, row.error_ms, row.gateway_id,
        row.offset_min, row.clock, row.skew_s,
    )  # fmt: skip
    return Put(mark, device_time, (None, None), context)


def mark_of(flags: int, status: str) -> tuple[int, int, tuple[tuple[str, str], ...]]:
    """Flags, reason of absence and context of the mark in the place of a value with flags."""
    return flags & _OF_TIME | WITHDRAWN, _INVALID, (("status", status),)


def context_text(put: Put) -> str | None:
    """The context of a row as JSON."""
    return json.dumps(put.context) if put.context else None


def detail_text(told: Told) -> str:
    """What a statement says beside its value, as a JSON object."""
    detail = told.detail
    said: dict[str, Any] = {
        "raw_mantissa": detail.raw_mantissa,
        "raw_scale": detail.raw_scale,
        "skew_s": detail.skew_s,
        "context": detail.context,
    }
    return json.dumps(said)
