"""What must be known before the readings of a link are taken. Pure.

Two things are read on the link itself, after subscribing: the device's clock, without which a
stored reading has no honest time, and its serial number, where the settings bind the device to
one. Readings that come before wait, at most HOLD_MS for the clock.
"""

from wardlight_shared.model import DeviceInfo

HOLD_MS = 5000


class Gate:
    """Open, holding or refusing; a new link starts it anew.

    needs_clock    the transport reads the device's clock on each link
    serial_number  what Device Information must say; None = the address is enough
    """

    def __init__(self, *, needs_clock: bool, serial_number: str | None) -> None:
        self._needs_clock = needs_clock
        self._serial_number = serial_number
        self._waits_for_clock = False
        self._until_ms = 0
        self._is_right: bool | None = serial_number is None or None

    @property
    def is_refusing(self) -> bool:
        """The device on this link is not the enrolled one."""
        return self._is_right is False

    def is_open(self, mono_ms: int) -> bool:
        """Whether readings are taken now."""
        if self._is_right is not True:
            return False
        return not self._waits_for_clock or mono_ms >= self._until_ms

    def link_up(self, mono_ms: int) -> None:
        """A link has come up; a device verified before is held to it again."""
        self._waits_for_clock = self._needs_clock
        self._until_ms = mono_ms + HOLD_MS
        if self._is_right is False:
            self._is_right = None

    def clock_known(self) -> None:
        """The clock was read."""
        self._waits_for_clock = False

    def told(self, info: DeviceInfo) -> None:
        """The device has said something of itself."""
        if self._serial_number is not None and info.serial_number is not None:
            self._is_right = info.serial_number == self._serial_number

    def reads_done(self) -> None:
        """Nothing more will be read on this link: what is not known now stays unknown."""
        self._waits_for_clock = False
        if self._is_right is None:
            self._is_right = False
