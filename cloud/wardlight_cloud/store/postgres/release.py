"""Lines of quarantine on their way into the table of readings: where each may stand. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import numpy as np

from wardlight_cloud.store.postgres.rows import Rows
from wardlight_shared.errors import StorageError
from wardlight_shared.model import Flag

_LARGEST_ORD: Final = (1 << 31) - 1
_MOST_SHIFT: Final = 1024
NO_BOUND: Final = -1

Value = tuple[int, int, int]
"""(mantissa, scale, absent)."""

Stored = Mapping[tuple[int, int], Mapping[int, Value]]
"""(series, time in us) -> ord -> what stands there."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table quarantine, as a row that might be."""

    quarantine_id: int
    gateway_id: int
    series_id: int
    time_us: int
    ord: int
    mantissa: int
    scale: int
    absent: int
    flags: int
    error_ms: int
    offset_min: int
    clock: int
    detail: str | None
    is_stored: bool = False  # the same value stands at its place already

    @property
    def value(self) -> Value:
        """What the line says."""
        return self.mantissa, self.scale, self.absent


def released_lines(found: Iterable[Any], time_us: int | None) -> list[Line]:
    """Lines of one record with the mark of a release, moved so that the first is at ``time_us``."""
    rows = sorted(found, key=lambda row: (row["time_us"], row["quarantine_id"]))
    shift_us = 0 if time_us is None else time_us - rows[0]["time_us"]
    flags = Flag.RELEASED if time_us is None else Flag.RELEASED | Flag.TIME_UNCERTAIN
    return [
        Line(
            row["quarantine_id"], row["gateway_id"], row["series_id"], row["time_us"] + shift_us,
            row["ord"], row["mantissa"], row["scale"], row["absent"], row["flags"] | int(flags),
            row["error_ms"] if time_us is None else NO_BOUND, row["offset_min"], row["clock"],
            row["detail"],
        )
        for row in rows
    ]  # fmt: skip


def stored_values(found: Iterable[Any]) -> Stored:
    """Rows of ``rows_at``."""
    stored: dict[tuple[int, int], dict[int, Value]] = {}
    for row in found:
        place = stored.setdefault((row["series_id"], row["time_us"]), {})
        place[row["ord"]] = row["mantissa"], row["scale"], row["absent"]
    return stored


def placed(lines: Sequence[Line], stored: Stored) -> list[Line]:
    """Lines with an ord that is free; values of one time move together, for they are one panel.

    StorageError when there is no such place.
    """
    return [
        line
        for _, group in groupby(lines, key=lambda line: line.time_us)
        for line in _placed(list(group), stored)
    ]


def _placed(group: list[Line], stored: Stored) -> list[Line]:
    taken = [stored.get((line.series_id, line.time_us), {}) for line in group]
    found = [at.get(line.ord) for line, at in zip(group, taken, strict=True)]
    if all(value in (None, line.value) for line, value in zip(group, found, strict=True)):
        return [
            replace(line, is_stored=value is not None)
            for line, value in zip(group, found, strict=True)
        ]
    shifts = (
        shift
        for size in range(1, _MOST_SHIFT)
        for shift in (size, -size)
        if all(_is_free(line.ord + shift, at) for line, at in zip(group, taken, strict=True))
    )
    shift = next(shifts, None)
    if shift is None:
        raise StorageError("release_quarantined: no place is free beside the stored values")
    return [replace(line, ord=line.ord + shift) for line in group]


def _is_free(place: int, taken: Mapping[int, Value]) -> bool:
    return 0 <= place <= _LARGEST_ORD and place not in taken


def rows_of(lines: Iterable[Line]) -> Rows:
    """Rows in the order of the table's key."""
    ordered = sorted(lines, key=lambda line: (line.series_id, line.time_us, line.ord))
    columns = {
        name: [getattr(line, name) for line in ordered]
        for name in Rows.__dataclass_fields__
        if name not in ("batch", "place")
    }
    return Rows(
        **{name: np.array(column, _TYPES[name]) for name, column in columns.items()},
        batch=np.zeros(len(ordered), np.int32),
        place=np.arange(len(ordered), dtype=np.int32),
    )


_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("time_us", "mantissa", "flags"), np.int64),
    **dict.fromkeys(("series_id", "ord", "error_ms", "gateway_id"), np.int32),
    **dict.fromkeys(("scale", "absent", "offset_min", "clock"), np.int16),
}


def detail_columns(lines: Iterable[Line]) -> list[list[object]] | None:
    """Arguments of add_details; None = there is nothing to write."""
    rows = [(line, json.loads(line.detail)) for line in lines if line.detail is not None]
    if not rows:
        return None
    columns = zip(
        *(
            (
                line.series_id, line.time_us, line.ord, said["raw_scale"], said["raw_mantissa"],
                said["skew_s"], said["device_time"],
                json.dumps(said["context"]) if said["context"] else None,
            )
            for line, said in rows
        ),
        strict=True,
    )  # fmt: skip
    return [list(column) for column in columns]
