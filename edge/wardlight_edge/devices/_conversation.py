"""What a conversing decoder is: one that has to answer its device, on a wire or over TCP.

A decoder module may offer ``conversation(options) -> Conversation``: the state of one link, fed
with octets and moments, answering with actions. It does no I/O and reads no clock. Whoever runs it
does the actions in order; a Take is done when its events are committed, and only then is its
``answer`` sent: a device is told "received" for nothing that could still be lost.
"""

from typing import Protocol

import msgspec

from wardlight_edge.devices._base import FramerCounts, Options, Samples
from wardlight_shared.model import DeviceInfo, Reading


class Now(msgspec.Struct, frozen=True):
    """One moment: ``mono_ms`` for timers, ``wall_ms`` (UTC, trusted or not) for answers."""

    mono_ms: int
    wall_ms: int


class Subject(msgspec.Struct, frozen=True):
    """Whose readings they are, in the sender's words: only ever hashed, never kept.

    kind       "patient", or "monitor" where no patient is named
    authority  who gave the identifier; "" = not said
    """

    kind: str
    authority: str
    identifier: str


class Event(msgspec.Struct, frozen=True):
    """Readings of one moment.

    raw      what was received of them, for the event id; the same when it is sent again
    token    names the event where neither device time nor record number does; b"" = nothing does
    subject  None = the device's own patient
    age_ms   how long before it was received the device measured it, by its own counter
    """

    readings: tuple[Reading, ...]
    raw: bytes
    token: bytes = b""
    subject: Subject | None = None
    samples: tuple[Samples, ...] = ()
    age_ms: int = 0


class Say(msgspec.Struct, frozen=True):
    """Send these octets."""

    octets: bytes


class Take(msgspec.Struct, frozen=True):
    """Accept these events; send ``answer`` once they are committed.

    refusal  what to send instead when they cannot be committed soon; None = wait for as long as it
             takes, the device sends them again
    ignored  codes of what was measured too and has no metric here; letters, digits, _ and - only
    """

    events: tuple[Event, ...]
    answer: bytes
    refusal: bytes | None = None
    ignored: tuple[str, ...] = ()


class Reject(msgspec.Struct, frozen=True):
    """Foreign input that cannot be read. ``octets`` are what may be kept of it: no identifiers."""

    octets: bytes
    reason: str


class Tell(msgspec.Struct, frozen=True):
    """What the device says of itself."""

    info: DeviceInfo


class HangUp(msgspec.Struct, frozen=True):
    """End the link; nothing after it is done."""

    reason: str


Action = Say | Take | Reject | Tell | HangUp


class Conversation(Protocol):
    """The state of one link; a new link needs a new one. No method raises for what a peer sends."""

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""

    @property
    def due_ms(self) -> int | None:
        """When ``waited`` must be called if nothing comes before; None = never."""

    def opened(self, now: Now) -> tuple[Action, ...]:
        """The link is up."""

    def received(self, octets: bytes, now: Now) -> tuple[Action, ...]:
        """Take the next octets, any number; what is kept between calls is bounded."""

    def waited(self, now: Now) -> tuple[Action, ...]:
        """``due_ms`` has passed."""


class ConversingDecoder(Protocol):
    """A module that holds the conversation of a device."""

    def conversation(self, options: Options) -> Conversation:
        """Begin one link; ConfigError for an option it does not know."""
