"""The line to one device: whether it is up, and whether anything valid comes over it. Pure."""

from wardlight_edge.transports.base import LinkChange, LinkState
from wardlight_shared.profile import Profile

_SILENT = "silent", "the line is open but no valid frame comes: is the device on?"


class Line:
    """Only a serial line can be silent: what a radio does not bring was not measured."""

    def __init__(self, profile: Profile) -> None:
        serial = profile.transport.serial
        self._silence_ms = None if serial is None else serial.silence_s * 1000
        self._link = LinkChange(LinkState.WAITING, 0)
        self._is_silent = False
        self._valid_ms = 0

    @property
    def is_up(self) -> bool:
        """Whether the link stands."""
        return self._link.state is LinkState.CONNECTED

    @property
    def is_watched(self) -> bool:
        """Whether ``falls_silent`` is to be asked now and then."""
        return self._silence_ms is not None

    @property
    def state(self) -> tuple[str, str | None]:
        """State and reason for the board."""
        return _SILENT if self._is_silent else (self._link.state, self._link.reason)

    def changed(self, change: LinkChange) -> None:
        """The way to the device has changed."""
        self._link = change
        if self.is_up:
            self._valid_ms = change.mono_ms
            self._is_silent = False

    def heard(self, valid_ms: int) -> bool:
        """The newest valid value is of this moment. True: the silence is over."""
        if valid_ms <= self._valid_ms:
            return False
        self._valid_ms = valid_ms
        was_silent, self._is_silent = self._is_silent, False
        return was_silent

    def falls_silent(self, mono_ms: int) -> bool:
        """Whether nothing valid has come for too long; True once for each silence."""
        if self._silence_ms is None or self._is_silent or not self.is_up:
            return False
        self._is_silent = mono_ms - self._valid_ms > self._silence_ms
        return self._is_silent
