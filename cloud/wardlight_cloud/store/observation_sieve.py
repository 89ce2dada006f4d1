"""What else an Observation has to be to be found: a part of the store's Protocol.

Whose it is, of which metric and when decides most searches, by columns and indexes. What a number
is, why there is none, and how the whole of an Observation stands, is decided by a function of the
face that asks; the store reads on until a page is full of what it takes. Bounds of numbers, and
marks that one of the numbers has, are told beside it, so that most rows of others are left where
they lie.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from wardlight_cloud.store.observation_rows import Kind

Parts = Sequence[tuple[Kind, int]]
"""The numbers of an Observation, each with its mantissa: one, or those of a panel's components."""

Hull = tuple[Fraction | None, Fraction | None]
"""The lowest and the highest number, both included; None = without an end."""


@dataclass(frozen=True, slots=True)
class Marks:
    """One of the flags, or a number that is missing for a reason (wire codes; None = any)."""

    flags: int = 0
    absents: tuple[int, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which of the Observations that are found otherwise are asked for.

    ``name``: two of the same name take the same; cursors belong to it. ``takes(metric, time_us,
    parts)``: metric is the Observation's, that of the panel for a panel. ``numbers``: by metric and
    unit, between what one of its present numbers at least lies; what is not named is no such
    number. None = any number may do, or none at all. ``marks``: what one of its numbers has at
    least; None = any may do.
    """

    name: str
    takes: Callable[[int, int, Parts], bool] = field(repr=False)
    numbers: Mapping[tuple[int, str], Hull] | None = None
    marks: Marks | None = None
