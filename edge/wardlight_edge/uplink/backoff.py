"""Growing pauses with jitter; pure but for the random numbers, which a test can seed."""

import random
from typing import Final

_JITTER: Final = 0.25


class Backoff:
    """``first_s``, then double each time up to ``longest_s``; each +-25 %, so that gateways that
    lost one broker do not come back in one moment."""

    def __init__(
        self, first_s: float, longest_s: float, random_numbers: random.Random | None = None
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._random = random_numbers or random.Random()  # noqa: S311 - pauses, not secrets

    def failed(self) -> float:
        """Note a failure; seconds to wait before the next try."""
        pause = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return pause * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0
