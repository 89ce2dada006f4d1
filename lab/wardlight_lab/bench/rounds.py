"""Ours and the baseline in turn, so that a slow minute of the machine slows both."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

Rates = dict[str, tuple[float, ...]]


def in_turn(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> Rates:
    """Run every contender once a round, each round in the other order; figures by name."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in _order(list(contenders), turn):
            figures[name].append(contenders[name]())
    return {name: tuple(found) for name, found in figures.items()}


async def in_turn_async(
    rounds: int, contenders: Mapping[str, Callable[[], Awaitable[float]]]
) -> Rates:
    """As ``in_turn``."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in _order(list(contenders), turn):
            figures[name].append(await contenders[name]())
    return {name: tuple(found) for name, found in figures.items()}


def _order(names: Sequence[T], turn: int) -> list[T]:
    return list(names) if turn % 2 == 0 else list(reversed(names))
