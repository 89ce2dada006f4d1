"""Targets that are not called for a while, because the last call came to nothing."""

from typing import Final

from wardlight_cloud.store.forwarding import ForwardTarget

_FIRST_S: Final = 2.0
_LONGEST_S: Final = 300.0


class Resting:
    """Knows which targets rest; times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._failures: dict[ForwardTarget, int] = {}
        self._until: dict[ForwardTarget, float] = {}

    def failed(self, target: ForwardTarget, now: float) -> None:
        """It rests, twice as long as after the failure before, five minutes at most."""
        failures = self._failures.get(target, 0)
        self._failures[target] = failures + 1
        self._until[target] = now + min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures, 16))

    def answered(self, target: ForwardTarget) -> None:
        """All before is forgotten."""
        self._failures.pop(target, None)
        self._until.pop(target, None)

    def now(self, now: float) -> list[ForwardTarget]:
        """Those that rest at this time."""
        return [target for target, until in self._until.items() if now < until]
