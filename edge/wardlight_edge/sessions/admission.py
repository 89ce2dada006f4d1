"""Whether a value is taken now, waits or is refused: the gate and the room before it.

Values are taken in order of arrival: while one waits, those behind it wait too.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.decoding import needs_of
from wardlight_edge.sessions.device_clock import DeviceClockKeeper, LinkClock
from wardlight_edge.sessions.events import Waited
from wardlight_edge.sessions.gate import Gate, Identity
from wardlight_edge.sessions.told import Told
from wardlight_edge.sessions.waiting_room import CAPACITY, Vault, Waiting, WaitingRoom
from wardlight_edge.transports.base import Octets
from wardlight_shared.profile import Profile

UNVERIFIED: Final = "unverified"
"""State of a device in doubt, and cause of the gap when more came than can wait."""

OTHER: Final = "not the enrolled device: its serial number is another one"
IN_DOUBT: Final = (
    "its serial number could not be read: readings wait until it is known; it is tried on every "
    "link"
)
NO_ROOM: Final = f"{CAPACITY} readings wait already for the device's serial number"


class Answer(Enum):
    """What becomes of a value that has just arrived."""

    TAKEN = auto()
    WAITS = auto()
    REFUSED = auto()
    NO_ROOM = auto()


class Admitted(msgspec.Struct, frozen=True):
    """A value that waited and is decided now.

    clock           what its link knew of the device's clock
    waited          given when it waited beyond its link
    is_refused      another device sent it
    is_after_break  it came over another link than the one before it
    """

    arrival: Octets
    clock: LinkClock
    waited: Waited | None
    is_refused: bool
    is_after_break: bool


class Admission:
    """Decides about one device's values.

    vault  where what waits beyond a link is kept; None = in memory alone
    bound  told the device and its serial number (None = it has none) at its first use
    """

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        device_clock: DeviceClockKeeper,
        clock: Clock,
        vault: Vault | None,
        bound: Callable[[str, str | None], None] = lambda _, __: None,
    ) -> None:
        self._device = device.identity
        self._bound = bound
        is_ble = device.identity.startswith("ble:")
        is_first_use = is_ble and device.bind == "first-use"
        self.is_bound = is_ble and (device.serial_number is not None or is_first_use)
        """Whether more than the address is asked for."""
        self._gate = Gate(
            needs=needs_of(profile) if is_ble else frozenset(),
            serial_number=device.serial_number if is_ble else None,
            is_first_use=is_first_use,
        )
        # The samples of a stream that are in no block yet are never kept over a restart. A device
        # that is bound no longer has its file looked for all the same: its readings are taken.
        is_kept = is_ble and profile.stream is None
        self._room = WaitingRoom(device.identity, clock, vault if is_kept else None)
        if self._room:
            self._gate.reads_done()  # as the last link left it: in doubt until the next one
        self._device_clock = device_clock
        self._clock = clock

    @property
    def waiting(self) -> int:
        """How many values wait."""
        return len(self._room)

    @property
    def is_holding(self) -> bool:
        """Whether what waits is decided on this link, by its end or by time."""
        return bool(self._room) and not self._gate.is_in_doubt

    @property
    def identity(self) -> Identity:
        """Who is on this link, as far as it can be said now."""
        return self._gate.identity

    @property
    def trouble(self) -> tuple[str, str] | None:
        """State and reason while the device is not taken for the enrolled one."""
        if self._gate.is_refusing:
            return "wrong-device", "its serial number is not that of the enrolled device"
        return (UNVERIFIED, IN_DOUBT) if self._gate.is_in_doubt else None

    def ask(self, arrival: Octets) -> Answer:
        """Decide about a value; one that waits is kept here."""
        if self._gate.is_refusing:
            return Answer.REFUSED
        if self._gate.is_open(arrival.mono_ms) and not self._room:
            return Answer.TAKEN
        return Answer.WAITS if self._room.put(arrival) else Answer.NO_ROOM

    def link_up(self, mono_ms: int) -> None:
        """A link has come up."""
        self._device_clock.link_up(mono_ms)
        self._gate.link_up(mono_ms)

    def is_open(self, mono_ms: int) -> bool:
        """Whether values are taken now."""
        return self._gate.is_open(mono_ms)

    def told(self, told: Told) -> None:
        """The device has said something of itself: its clock, where it measures, who it is."""
        if told.clock is not None:
            self._device_clock.shown(told.clock)
        for need, is_known in (("clock", told.is_clock), ("site", told.is_site)):
            if is_known:
                self._gate.known(need)
        if told.is_serial_number:
            self.identified(None if told.info is None else told.info.serial_number)

    def identified(self, serial_number: str | None) -> None:
        """The device has shown its serial number; None = it has none to show."""
        if self._gate.told(serial_number):
            self._bound(self._device, serial_number)

    def reads_done(self) -> None:
        """Nothing more will be read on this link."""
        self._gate.reads_done()

    def link_down(self) -> None:
        """The link is over; what still waits is dated by what was known on it."""
        self._room.link_down(self._device_clock.on_link)

    def decided(self, mono_ms: int) -> list[Admitted]:
        """What waited, once it can be decided."""
        if not self._room or not (self._gate.is_open(mono_ms) or self._gate.is_refusing):
            return []
        waiting = self._room.take()
        return [
            self._admitted(each, place > 0 and each.clock is not waiting[place - 1].clock)
            for place, each in enumerate(waiting)
        ]

    @property
    def is_damaged(self) -> bool:
        """Whether something waited before the start that cannot be read any more."""
        return self._room.is_damaged

    @property
    def is_saved(self) -> bool:
        """Whether the disk is up to date, as far as that matters: a link's wait is short."""
        return self._room.is_saved or self.is_holding

    def save(self) -> bool:
        """Bring the disk up to date; False: what waits is in memory alone."""
        return self.is_saved or self._room.save()

    def give_up(self) -> list[Octets]:
        """Take out what waits: it could not be kept."""
        return [each.arrival(self._clock) for each in self._room.take()]

    def _admitted(self, waiting: Waiting, is_after_break: bool) -> Admitted:
        arrival = waiting.arrival(self._clock)
        is_refused = self._gate.is_refusing
        if waiting.clock is None:
            clock = self._device_clock.on_link
            return Admitted(arrival, clock, None, is_refused, is_after_break)
        clock = waiting.clock.moved(arrival.mono_ms - waiting.mono_ms)
        waited = Waited(waiting.token, waiting.boot != self._clock.boot_id())
        return Admitted(arrival, clock, waited, is_refused, is_after_break)
