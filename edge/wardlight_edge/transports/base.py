"""What a transport is: it brings what one device sends, as it came, to a session.

Rules every transport keeps (tests/contract/test_transport.py runs one suite on all):

1. ``run`` delivers until it is cancelled; a replay also ends at the end of its capture. A radio,
   wire or file in trouble is a LinkChange and another try, never an exception.
2. CONNECTED comes before the first octets of a link, and every CONNECTED is followed by another
   LinkChange when that link is over. What is only advertised comes without a link.
3. ``mono_ms`` of the arrivals never goes back.
4. A receiver that refuses (its outbox is full) gets nothing new from a device that can keep it.
5. A cancelled ``run`` leaves no descriptor, no link and no lock behind.
"""

from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec


class LinkState(StrEnum):
    """How a device can be reached now; the words of docs/operations.md."""

    ABSENT = "absent"  # this machine lacks something: no adapter, no such port
    WAITING = "waiting"  # not heard of: normal for a cuff between two measurements
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"  # a link that should stand does not
    NOT_PAIRED = "not-paired"  # the device wants a bond and the profile asks for none, or it failed
    BOND_LOST = "bond-lost"  # one side has lost its key: an operator repairs it
    UNBOUND = "unbound"  # nobody has said yet that it is the right device
    UNUSABLE = "unusable"  # the device does not offer what its profile says
    ENDED = "ended"  # a capture is through


TROUBLE = frozenset(
    {
        LinkState.ABSENT,
        LinkState.NOT_PAIRED,
        LinkState.BOND_LOST,
        LinkState.UNBOUND,
        LinkState.UNUSABLE,
    }
)
"""States in which nothing arrives until somebody does something."""


class LinkChange(msgspec.Struct, frozen=True):
    """The way to the device has changed. ``reason`` is a sentence for a person, or None."""

    state: LinkState
    mono_ms: int
    reason: str | None = None


class Octets(msgspec.Struct, frozen=True):
    """Bytes as they came.

    channel   the characteristic ("0x2A35" or a full UUID in capitals); "" for a wire
    mono_ms   receipt on the monotonic clock; wall_ms the same moment on the wall clock
    is_read   True: the transport asked for them (battery, device information, clock)
    age_ms    how long before their receipt they were recorded, by a capture or a device that counts
    token     place in a capture, given back by ``Transport.accepted``
    """

    channel: str
    octets: bytes
    mono_ms: int
    wall_ms: int
    is_read: bool = False
    age_ms: int = 0
    token: int | None = None


class Unreadable(msgspec.Struct, frozen=True):
    """Foreign input the transport itself could not read (a bad line of a capture)."""

    octets: bytes
    reason: str
    mono_ms: int
    token: int | None = None


class ReadsDone(msgspec.Struct, frozen=True):
    """All that the transport reads by itself on this link has been delivered.

    absent  what the device does not offer, of what was to be read
    link    names this link in ``Speaking.ask``
    """

    mono_ms: int
    absent: frozenset[str] = frozenset()
    link: int = 0


class Written(msgspec.Struct, frozen=True):
    """The device has taken what was to be written."""

    channel: str
    mono_ms: int


class Refused(msgspec.Struct, frozen=True):
    """A request failed. ``att_code`` None: the device lacks the characteristic, or fell silent."""

    channel: str
    reason: str
    mono_ms: int
    att_code: int | None = None


class Anew(msgspec.Struct, frozen=True):
    """What an advertising device says from now on is not a repetition of what it said before.

    is_renewed  True: an operator says that the device was renewed; False: it was silent for long
    """

    mono_ms: int
    is_renewed: bool = False


Arrival = LinkChange | Octets | Unreadable | ReadsDone | Written | Refused | Anew


class Receiver(Protocol):
    """The session's end: a bounded queue."""

    def offer(self, arrival: Arrival) -> bool:
        """Take an arrival at once; False: no room, it was counted as lost. Never blocks.

        All but values always finds room.
        """

    @property
    def has_room(self) -> bool:
        """Whether a value that is offered now is taken."""

    async def deliver(self, arrival: Arrival) -> None:
        """Take an arrival as soon as there is room."""

    @property
    def is_refusing(self) -> bool:
        """True while nothing can be accepted: a device that keeps its readings must keep them."""

    async def wait_until_accepting(self) -> None:
        """Return when ``is_refusing`` is False."""


class DeviceClockSetter(Protocol):
    """Decides about a device's clock; the transport reads it, then asks, then writes."""

    def octets_for(self, channel: str, shown: bytes | None) -> bytes | None:
        """Octets to write to ``channel`` now, or None to leave the clock alone.

        ``shown`` is what the device's clock has just said, None when it could not be read.
        """

    def written(self, channel: str) -> None:
        """The device has taken the octets."""


class Transport(Protocol):
    """The way to one device."""

    async def run(self, receiver: Receiver) -> None:
        """Deliver arrivals until cancelled. Safe to cancel; safe to run again afterwards."""

    def accepted(self, token: int) -> None:
        """Everything up to this token is in the outbox. Idempotent, never blocks long."""


class Request(msgspec.Struct, frozen=True):
    """What a session asks of the device: to take ``octets``, or to be read (None)."""

    channel: str
    octets: bytes | None = None


@runtime_checkable
class Speaking(Protocol):
    """A Transport on which a session can hold a conversation.

    ``link`` is the one of ReadsDone: of a link that is over nothing is done, and nothing is said.
    """

    def ask(self, link: int, request: Request) -> None:
        """Do this after what was asked before; Octets, Written or Refused follows."""

    def leave(self, link: int, rest_s: float) -> None:
        """Hang up once all that was asked is done, and do not come back for ``rest_s``."""


class Moments(Protocol):
    """The two clocks a transport stamps with; ``wardlight_edge.clock.Clock`` is one."""

    def mono_ms(self) -> int:
        """Milliseconds since boot."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, trusted or not."""


class RadioState(msgspec.Struct, frozen=True):
    """What is known of an adapter or a proxy.

    reason       why it does not serve, None = it does
    makes_links  False: a proxy that only hears
    """

    adapter: str
    reason: str | None
    is_scanning: bool
    links: int
    last_advertisement_mono_ms: int | None
    scan_restarts: int
    power_cycles: int
    makes_links: bool = True
