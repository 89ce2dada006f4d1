"""Compares the events of procedure steps that a gateway has accepted with what the cloud holds.

lost        accepted, and not there
double      there more than once
disordered  there before one that was sent earlier
strange     there and never sent
unknown     there and never answered: its answer was lost with a kill; allowed, counted
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """An event by its step and its number within it, from 1; ``status`` of the step after it."""

    uid: str
    number: int
    status: str


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """The comparison; ``is_good`` is the claim."""

    accepted: int = 0
    stored: int = 0
    lost: int = 0
    double: int = 0
    disordered: int = 0
    strange: int = 0
    unknown: int = 0
    first_lost: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Every accepted event is there, once, in the order in which it was sent."""
        return not any((self.lost, self.double, self.disordered, self.strange))


def judge_steps(
    sent: Sequence[Event], accepted: Iterable[Event], stored: Sequence[Event]
) -> StepVerdict:
    """``sent`` in the order of sending, ``stored`` in the order of storing."""
    wanted, held = set(accepted), Counter(stored)
    lost = sorted(wanted - set(held))
    places = {event: place for place, event in enumerate(sent)}
    known = [places[event] for event in dict.fromkeys(stored) if event in places]
    return StepVerdict(
        accepted=len(wanted),
        stored=len(stored),
        lost=len(lost),
        double=sum(times - 1 for times in held.values()),
        disordered=sum(after < before for before, after in pairwise(known)),
        strange=sum(event not in places for event in held),
        unknown=len(set(held) - wanted),
        first_lost=tuple(f"{event.uid} {event.number}" for event in lost[:5]),
    )
