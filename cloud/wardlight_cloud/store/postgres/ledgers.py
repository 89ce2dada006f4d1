"""Sequence numbers as ranges: what is known, what this call settles, what stays open. Pure.

A ledger is one (gateway id, epoch). Ranges are inclusive; the server's multiranges are half open.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.batch import LedgerState
from wardlight_shared.envelope import MAX_SEQ

LedgerKey = tuple[int, int]
Range = tuple[int, int]


class Settled(IntEnum):
    """How a record ended; ``kind`` of the statement ``settle``."""

    STORED = 0
    REJECTED = 1
    REMOVED = 2


class HalfOpen(Protocol):
    """A range as the driver gives it."""

    @property
    def lower(self) -> Any:
        """First number."""

    @property
    def upper(self) -> Any:
        """The number after the last."""


def inclusive(ranges: Iterable[HalfOpen]) -> list[Range]:
    """A server's multirange as inclusive ranges, ascending."""
    return [(part.lower, part.upper - 1) for part in ranges]


def runs(seqs: NDArray[np.int64]) -> list[Range]:
    """Ascending numbers as ranges."""
    if not len(seqs):
        return []
    breaks = np.flatnonzero(np.diff(seqs) > 1)
    firsts = seqs[np.append(0, breaks + 1)]
    lasts = seqs[np.append(breaks, len(seqs) - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def within(seqs: NDArray[np.int64], ranges: Sequence[Range]) -> NDArray[np.bool_]:
    """Which numbers lie in one of the ranges (ascending, disjoint)."""
    if not ranges or not len(seqs):
        return np.zeros(len(seqs), np.bool_)
    firsts = np.array([first for first, _ in ranges], np.int64)
    lasts = np.array([last for _, last in ranges], np.int64)
    place = np.searchsorted(firsts, seqs, side="right") - 1
    return (place >= 0) & (seqs <= lasts[np.maximum(place, 0)])


def repeated(seqs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ascending numbers are the same as the one before."""
    found = np.zeros(len(seqs), np.bool_)
    found[1:] = seqs[1:] == seqs[:-1]
    return found


@dataclass(slots=True)
class Settlement:
    """What a call settles, as columns for the statement ``settle``."""

    gateway_ids: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)

    def add(self, ledger: LedgerKey, kind: Settled, ranges: Iterable[Range]) -> None:
        """Add ranges of one ledger, cut to what a range can hold."""
        for first, last in ranges:
            if first <= MAX_SEQ:
                self.gateway_ids.append(ledger[0])
                self.epochs.append(ledger[1])
                self.kinds.append(kind)
                self.firsts.append(first)
                self.lasts.append(min(last, MAX_SEQ))

    def columns(self) -> tuple[list[int], ...]:
        """Arguments of the statement."""
        return self.gateway_ids, self.epochs, self.kinds, self.firsts, self.lasts

    def ledgers(self) -> set[LedgerKey]:
        """Ledgers that change."""
        return set(zip(self.gateway_ids, self.epochs, strict=True))


def state(
    gateway: str, epoch: int, settled: Sequence[Range], rejected: Sequence[tuple[int, str]]
) -> LedgerState:
    """The contract's form: contiguous from 1, then the ranges above."""
    upto = 0
    ranges = list(settled)
    if ranges and ranges[0][0] <= 1:
        upto = ranges.pop(0)[1]
    return LedgerState(gateway, epoch, upto, tuple(ranges), tuple(rejected))


def gaps(settled: Sequence[Range], highest: int) -> Iterator[Range]:
    """What of 1..highest is not settled."""
    after = 1
    for first, last in settled:
        if first > highest:
            break
        if first > after:
            yield after, first - 1
        after = max(after, last + 1)
    if after <= highest:
        yield after, highest
