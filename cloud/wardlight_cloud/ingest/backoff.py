"""How long to wait before the next try: doubling, capped, spread a little. Pure."""

from random import Random
from typing import Final

_SPREAD: Final = 0.2  # so that collectors that failed together do not return together


class Backoff:
    """Waiting times of one thing that may fail again and again."""

    def __init__(self, first_s: float, longest_s: float, random: Random | None = None) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = random or Random()  # noqa: S311 - spreads tries, guards nothing
        self.failures = 0

    def succeeded(self) -> None:
        """Start from the first waiting time again."""
        self.failures = 0

    def failed(self) -> float:
        """Count a failure; returns the seconds to wait."""
        wait_s = min(self._first_s * (1 << min(self.failures, 16)), self._longest_s)
        self.failures += 1
        return wait_s * self._random.uniform(1 - _SPREAD, 1 + _SPREAD)
