"""What came out of a soak, and what is wrong with it. Pure."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import msgspec

from wardlight_lab.soak.held import Held

MOST_KB: Final = 4096
MOST_OBJECTS: Final = 3000


class Count(msgspec.Struct, frozen=True):
    """Of one device: what it handed over, and what the collector has.

    framed  numbers that may not have left the framing of a line at the end
    losses  ends of links of a stream
    """

    device: str
    numbers: int
    stored_numbers: int
    samples: int
    stored_samples: int
    framed: int
    losses: int
    gaps: int


class Outcome(msgspec.Struct, frozen=True):
    """What came out.

    repeated  records that came to the collector more than once
    held      moments after the warm-up, at equal distances
    """

    hours: float
    records: int
    repeated: int
    outages: int
    quarantined: int
    lost: int
    counts: list[Count]
    held: list[Held]


def judge(outcome: Outcome) -> list[str]:
    """What is wrong, a sentence each; [] = nothing was lost or doubled, and nothing grew."""
    wrong = [sentence for count in outcome.counts for sentence in _wrong(count)]
    if outcome.quarantined or outcome.lost:
        wrong.append(f"{outcome.quarantined} values quarantined, {outcome.lost} without room")
    return wrong + _growth(outcome.held)


def growth_kb(found: Sequence[Held]) -> float:
    """How much more memory the last third of the moments shows than the first."""
    return _rise(found, lambda each: each.memory_kb)


def _wrong(count: Count) -> list[str]:
    wrong = []
    if not 0 <= count.numbers - count.stored_numbers <= count.framed or not count.numbers:
        wrong.append(f"{count.device}: {count.numbers} numbers, {count.stored_numbers} stored")
    if count.samples != count.stored_samples:
        wrong.append(f"{count.device}: {count.samples} samples, {count.stored_samples} stored")
    # A loss is named with the first value behind it: behind the last one there is none.
    if count.gaps != max(count.losses - 1, 0):
        wrong.append(f"{count.device}: {count.losses} ends of links, {count.gaps} gaps named")
    return wrong


def _growth(found: Sequence[Held]) -> list[str]:
    if len(found) < 6:
        return [f"{len(found)} moments, too few to see growth"]
    wrong = []
    limits: tuple[tuple[str, Callable[[Held], int], int], ...] = (
        ("KB of memory", lambda each: each.memory_kb, MOST_KB),
        ("objects", lambda each: each.objects, MOST_OBJECTS),
        ("descriptors", lambda each: each.descriptors, 0),
        ("tasks", lambda each: each.tasks, 0),
    )
    for what, measure, most in limits:
        more = _rise(found, measure)
        if more > most:
            wrong.append(f"{more:g} more {what} in the last third of the time than in the first")
    return wrong


def _rise(found: Sequence[Held], measure: Callable[[Held], int]) -> float:
    third = len(found) // 3
    if not third:
        return 0
    first, last = (median(map(measure, part)) for part in (found[:third], found[-third:]))
    return last - first
