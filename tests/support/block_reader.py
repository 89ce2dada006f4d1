"""Reads a stream block as docs/wire-format.md describes it, for tests; not the encoder's code."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from wardlight_shared.model import ABSENT_BY_CODE, Absent
from wardlight_shared.records import BlockBody, Column, Group


class Sample(NamedTuple):
    """One number: moment on the gateway's monotonic clock, series number, value, flags."""

    at_ms: int
    series: int
    value: Decimal | Absent
    flags: int


def samples(block: BlockBody, record_ms: int, factors: dict[int, int]) -> Iterator[Sample]:
    """Every sample of a block; ``factors`` gives the factor of each series' key."""
    for group in block.groups:
        moments = [record_ms + group.start_ms + group.tick_ms * tick for tick in _ticks(group)]
        for column in group.columns:
            yield from _column(column, moments, factors.get(column.series, 1))


def _ticks(group: Group) -> list[int]:
    misses = _numbers(group.jitter, group.width) or [0] * (group.count - 1)
    ticks = [0]
    for miss in misses:
        ticks.append(ticks[-1] + group.period + miss)
    assert len(ticks) == group.count
    return ticks


def _column(column: Column, moments: list[int], factor: int) -> Iterator[Sample]:
    absents = dict(column.absents or [])
    flags = [0] * len(moments)
    for first, count, bits in column.flags or []:
        flags[first : first + count] = [bits] * count
    mantissa = column.first
    deltas = [0, *_numbers(column.deltas, column.width)]
    assert len(deltas) == len(moments)
    for place, delta in enumerate(deltas):
        mantissa += delta
        value: Decimal | Absent = Decimal(mantissa * factor).scaleb(column.scale)
        if place in absents:
            assert delta == 0, "an absent sample repeats the one before"
            value = ABSENT_BY_CODE[absents[place]] or Absent.RESERVED
        yield Sample(moments[place], column.series, value, flags[place])


def _numbers(octets: bytes, width: int) -> list[int]:
    return [
        int.from_bytes(octets[at : at + width], "little", signed=True)
        for at in range(0, len(octets), width)
    ]
