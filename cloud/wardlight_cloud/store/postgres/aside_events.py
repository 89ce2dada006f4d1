"""Events of which nothing but lines in quarantine is left. Pure.

Such an event is not "seen": the same event, sent again after its cause was repaired, is taken. And
a copy that would leave the same lines again leaves none.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from wardlight_cloud.store.postgres.aside import Aside
from wardlight_cloud.store.postgres.rows import Rows
from wardlight_cloud.store.postgres.sources import Records

RecordPlace = tuple[int, int]
"""(batch, place of the record in it)."""

Values = Counter[tuple[int, int, int, int]]
"""(series, mantissa, scale, absent) of the lines of one record."""


def wholly_aside(
    lines: Sequence[Aside],
    records: Sequence[Records],
    stored: Rows,
    known: Collection[RecordPlace],
) -> dict[RecordPlace, bytes]:
    """Event ids of the records that left lines and no row, neither new nor known."""
    found: dict[RecordPlace, bytes] = {}
    others = set(known)
    for line in lines:
        place = line.batch, line.record
        event_id = records[line.batch].batch.event_ids[line.record]
        if event_id is not None:
            found[place] = event_id
        if line.body is not None:
            others.add(place)  # a waveform: its samples are not compared here
    return {
        place: event_id
        for place, event_id in found.items()
        if place not in others and not _has_rows(place, records, stored)
    }


def _has_rows(place: RecordPlace, records: Sequence[Records], stored: Rows) -> bool:
    batch, record = place
    rows = stored.place[stored.batch == batch]
    return bool(np.any(records[batch].batch.readings.record_of_row[rows] == record))


def told_before(
    events: Mapping[RecordPlace, bytes], lines: Iterable[Aside], in_quarantine: Iterable[Any]
) -> set[bytes]:
    """Events with a copy in quarantine that says just what the new one says."""
    new: dict[bytes, Values] = {event_id: Counter() for event_id in events.values()}
    for line in lines:
        event_id = events.get((line.batch, line.record))
        if event_id is not None:
            new[event_id][line.series_id, line.mantissa, line.scale, line.absent] += 1
    copies: dict[tuple[bytes, int, int, int], Values] = {}
    for row in in_quarantine:
        copy = copies.setdefault(
            (row["event_id"], row["gateway_id"], row["epoch"], row["seq"]), Counter()
        )
        copy[row["series_id"], row["mantissa"], row["scale"], row["absent"]] += 1
    return {key[0] for key, values in copies.items() if new[key[0]] == values}
