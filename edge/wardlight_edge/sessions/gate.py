"""What must be known before the readings of a link are taken. Pure.

Some things are read on the link itself, after subscribing: the device's clock, without which a
stored reading has no honest time; where a thermometer measures; and the serial number, where the
settings bind the device to one. Readings that come before wait.

    serial number on this link      | readings
    --------------------------------+--------------------------------------------------------------
    not asked for                   | taken
    asked for on first use          | the first one that is read is the device's from then on
    the one of the settings         | taken, also those that waited, of this link and before
    another one                     | refused, also those that waited
    the device has none to read     | taken: the address is all there is to know it by
    not read yet, or the read failed| as the last link that gave an answer; none did, or it was
                                    | another device: they wait, also over the end of the link
"""

from enum import Enum, auto

HOLD_MS = 5000
"""How long readings wait for what is not their device's identity."""


class Identity(Enum):
    """Who is on the link."""

    UNKNOWN = auto()
    ENROLLED = auto()
    BY_ADDRESS = auto()  # the device has no serial number that could be compared
    OTHER = auto()


_TAKEN = frozenset({Identity.ENROLLED, Identity.BY_ADDRESS})


class Gate:
    """Open, holding or refusing; a new link starts it anew.

    needs          names of what the transport reads on each link, apart from the identity
    serial_number  what Device Information must say; None = the address is enough
    is_first_use   True: nothing is known yet, what is read first is kept
    """

    def __init__(
        self, *, needs: frozenset[str], serial_number: str | None, is_first_use: bool = False
    ) -> None:
        self._needs = needs
        self._serial_number = serial_number
        self._is_first_use = is_first_use
        self._is_by_address = serial_number is None and not is_first_use
        self._is_any_taken = False
        self._missing: frozenset[str] = frozenset()
        self._until_ms = 0
        self._here = Identity.UNKNOWN
        self._before = Identity.UNKNOWN
        self._is_read = False

    @property
    def identity(self) -> Identity:
        """Who is on this link, as far as it can be said now."""
        if self._is_by_address:
            return Identity.ENROLLED
        is_asked_in_vain = self._is_read and self._here is Identity.UNKNOWN
        return self._before if is_asked_in_vain and self._before in _TAKEN else self._here

    @property
    def is_refusing(self) -> bool:
        """The device on this link is not the enrolled one."""
        return self.identity is Identity.OTHER

    @property
    def is_in_doubt(self) -> bool:
        """All was read that will be on this link, and who it is remains unknown."""
        return self._is_read and self.identity is Identity.UNKNOWN

    def is_open(self, mono_ms: int) -> bool:
        """Whether readings are taken now."""
        if self.identity not in _TAKEN:
            return False
        return not self._missing or mono_ms >= self._until_ms

    def link_up(self, mono_ms: int) -> None:
        """A link has come up: everything is asked again."""
        self._missing = self._needs
        self._until_ms = mono_ms + HOLD_MS
        self._here = Identity.UNKNOWN
        self._is_read = False

    def known(self, need: str) -> None:
        """One of the needs was read."""
        self._missing -= {need}

    def told(self, serial_number: str | None) -> bool:
        """The device has shown its serial number; None = it has none to show.

        True: it was the first use, and this is from now on what it is known by.
        """
        is_first_use, self._is_first_use = self._is_first_use, False
        if is_first_use:
            self._serial_number = serial_number
            self._is_any_taken = serial_number is None
        if serial_number is None or self._is_any_taken:
            self._here = Identity.BY_ADDRESS
        elif serial_number == self._serial_number:
            self._here = Identity.ENROLLED
        else:
            self._here = Identity.OTHER
        self._before = self._here
        return is_first_use

    def reads_done(self) -> None:
        """Nothing more will be read on this link."""
        self._missing = frozenset()
        self._is_read = True
