"""The faults and when they strike: a random schedule that follows from the seed alone.

kill     SIGKILL of a process; the supervisor starts it again
cut      a link is closed in both directions and refuses connections for a while
stall    bytes stop for a while, nothing is closed; "deaf" and "mute" stop one direction only
slow     a link carries a few thousand bytes a second for a while
freeze   a collector is stopped for longer than its lease and then wakes up
damage   the gateway is killed and its outbox damaged before it starts again; the next damage waits
         until the store knows what this one did

Faults that last go on while the next ones strike.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: wait, then strike; what lasts ends after ``duration_s``."""

    wait_s: float
    kind: str
    target: str
    duration_s: float

    @property
    def name(self) -> str:
        """``kind target``."""
        return f"{self.kind} {self.target}"


# Each once before any comes again; the daemon, which alone has streams, twice.
DECK: Final = (
    ("kill", "gateway"),
    ("kill", "daemon"),
    ("kill", "daemon"),
    ("kill", "imaging"),
    ("kill", "broker"),
    ("kill", "collector-a"),
    ("kill", "collector-b"),
    ("kill", "postgres"),
    ("cut", "gateway link"),
    ("cut", "daemon link"),
    ("cut", "collector link"),
    ("stall", "gateway link"),
    ("stall", "collector link"),
    ("mute", "daemon link"),
    ("deaf", "gateway link"),
    ("slow", "collector link"),
    ("freeze", "collector-a"),
    ("freeze", "collector-b"),
    ("damage", "gateway"),
)
_SECONDS: Final = {
    "kill": (0.0, 0.0),
    "damage": (0.0, 0.0),
    "cut": (0.2, 4.0),
    "stall": (1.0, 12.0),
    "mute": (1.0, 12.0),
    "deaf": (1.0, 12.0),
    "slow": (2.0, 8.0),
    "freeze": (3.5, 7.0),  # a lease of the world lasts 3 s
}


def schedule(rounds: int, seed: int) -> Iterator[Fault]:
    """``rounds`` faults; every card of the deck comes up before any comes up again."""
    random_numbers = random.Random(seed)
    deck: list[tuple[str, str]] = []
    for _ in range(rounds):
        if not deck:
            deck = list(DECK)
            random_numbers.shuffle(deck)
        kind, target = deck.pop()
        yield Fault(
            wait_s=random_numbers.uniform(0.05, 2.5),
            kind=kind,
            target=target,
            duration_s=random_numbers.uniform(*_SECONDS[kind]),
        )
