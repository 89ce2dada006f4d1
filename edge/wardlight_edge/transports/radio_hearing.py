"""What a radio knows of its own hearing: whether it serves, when it heard anybody, how often it
had to be helped."""

from collections.abc import Callable

from wardlight_edge.transports.base import Moments


class Hearing:
    """Kept by one radio.

    silent_s  so long without any advertisement is a silence
    changed   told that ``reason`` has changed
    """

    def __init__(self, moments: Moments, silent_s: float, changed: Callable[[], None]) -> None:
        self._moments = moments
        self._silent_s = silent_s
        self._changed = changed
        self._reason: str | None = None
        self._last_ms: int | None = None
        self.silent_rounds = 0
        self.scan_restarts = 0

    @property
    def reason(self) -> str | None:
        """Why the radio does not serve, None = it does."""
        return self._reason

    @reason.setter
    def reason(self, reason: str | None) -> None:
        if reason != self._reason:
            self._reason = reason
            self._changed()

    @property
    def last_ms(self) -> int | None:
        """When it heard anybody last, None = never."""
        return self._last_ms

    def heard(self) -> int:
        """It has heard somebody, whoever it was; returns the moment."""
        self._last_ms = self._moments.mono_ms()
        self.silent_rounds = 0
        return self._last_ms

    def silence_left_s(self, since_ms: int) -> float:
        """How long it may go on without hearing anybody; it listens from ``since_ms`` on."""
        newest_ms = max(since_ms, self._last_ms or 0)
        return self._silent_s - (self._moments.mono_ms() - newest_ms) / 1000
