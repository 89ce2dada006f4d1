"""How long to wait before the next try: doubling, capped, spread a little. Pure.

The spread keeps devices, and gateways, that failed together from trying together; it comes from
``Random`` so that a test gives its own.
"""

from random import Random

SPREAD = 0.25


class Backoff:
    """Waiting times of one thing that may fail again and again."""

    def __init__(self, first_s: float, longest_s: float, random: Random | None = None) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = random or Random()  # noqa: S311 - spreads tries, guards nothing
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def succeeded(self) -> None:
        """Start from the first waiting time again."""
        self._failures = 0

    def failed(self, first_s: float | None = None) -> float:
        """Count a failure, return the seconds to wait; ``first_s`` suits the kind of failure."""
        base = self._first_s if first_s is None else first_s
        wait = min(base * (1 << min(self._failures, 16)), self._longest_s)
        self._failures += 1
        return wait * self._random.uniform(1 - SPREAD, 1 + SPREAD)
