"""The load's own account of what was accepted: one line for each append that returned.

Line  ``first count epoch seq seq seq ...\\n``: the numbers first..first+count-1 were accepted, each
      single event with a number and a seq of its own, all others together in the block, whose seq
      comes last
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Accepted(NamedTuple):
    """One append."""

    first: int
    numbers: int
    epoch: int
    seqs: tuple[int, ...]

    @property
    def last(self) -> int:
        """The last number."""
        return self.first + self.numbers - 1

    def seq(self, number: int) -> int:
        """Seq of the record that holds a number."""
        return self.seqs[min(number - self.first, len(self.seqs) - 1)]


def accepted(ledger: Path) -> Iterator[Accepted]:
    """Every whole line; a line cut short by a kill counts as not written."""
    if not ledger.exists():
        return
    for line in ledger.read_bytes().split(b"\n")[:-1]:
        first, count, epoch, *seqs = map(int, line.split())
        yield Accepted(first, count, epoch, tuple(seqs))


def write(descriptor: int, first: int, count: int, epoch: int, seqs: Sequence[int]) -> None:
    """Add a line."""
    os.write(descriptor, b" ".join(b"%d" % one for one in (first, count, epoch, *seqs)) + b"\n")
