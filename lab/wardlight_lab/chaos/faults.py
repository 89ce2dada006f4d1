"""The faults and when they strike: a random schedule that follows from the seed alone."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wardlight_lab.chaos.world import World

_KILLS: Final = ("gateway", "broker", "collector-a", "collector-b", "postgres")
_CUTS: Final = ("gateway link", "collector link")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: wait, then strike; a cut lasts ``duration_s``."""

    wait_s: float
    target: str
    duration_s: float

    @property
    def is_cut(self) -> bool:
        """A link is cut, a process is killed."""
        return self.target in _CUTS


def schedule(rounds: int, seed: int) -> Iterator[Fault]:
    """``rounds`` faults; every target comes up once before any comes up again."""
    random_numbers = random.Random(seed)
    deck: list[str] = []
    for _ in range(rounds):
        if not deck:
            deck = [*_KILLS, *_CUTS]
            random_numbers.shuffle(deck)
        yield Fault(
            wait_s=random_numbers.uniform(0.05, 2.5),
            target=deck.pop(),
            duration_s=random_numbers.uniform(0.2, 4.0),
        )


async def strike(world: World, fault: Fault) -> None:
    """Wait and strike. A process that is down already is struck when it is up again."""
    await asyncio.sleep(fault.wait_s)
    if fault.is_cut:
        link = world.links[fault.target]
        link.cut()
        await asyncio.sleep(fault.duration_s)
        link.mend()
        return
    async with asyncio.timeout(60):
        while world.supervisor.kill(fault.target) is None:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)
