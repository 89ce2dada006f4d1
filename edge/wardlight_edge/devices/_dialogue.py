"""What a conversation with a GATT device is: a state machine without I/O.

Most devices send what they have by themselves. Those that keep records want to be asked, and a
decoder module for them has ``dialogue``. Its Dialogue is told what arrives and when, and answers
with steps: what to ask of the device, and what to put into the outbox.

1. Times are milliseconds of one monotonic clock, given with every call. Nothing waits.
2. A Fetched counts as taken only after ``committed``: what the device may forget, and the bookmarks
   that say from where to ask the next time, follow then and never before.
3. A link may end at any moment. ``begin`` on the next one goes on where the last one was cut.
4. After a restart a Dialogue begins with the bookmarks kept last; records of the time between come
   again, with the same names.
"""

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

import msgspec

from wardlight_edge.devices._base import Options
from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._user_data import Consent
from wardlight_shared.model import DeviceInfo, DeviceTime, Reading


class Bookmark(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far one memory of a device is in the outbox.

    number  nothing up to this record number is missing; None = not known
    mark    fingerprint of that record: another record under its number means a cleared memory
    run     what the numbers belong to (the run of a sensor); "" = the device for its life
    known   fingerprints of all records, where the memory has no numbers
    """

    number: int | None = None
    mark: str = ""
    run: str = ""
    known: tuple[str, ...] = ()


Bookmarks = Mapping[str, Bookmark]
"""Bookmarks of a device by the name of the memory: "" the only one, else its user's."""

KEY: Final = "key"
"""The bookmark whose ``mark`` is the secret, in hex, of a device that NEEDS_KEY."""

KEY_OCTETS: Final = 16


class Write(msgspec.Struct, frozen=True):
    """Write octets to a characteristic, with response; ``written`` or ``refused`` follows."""

    channel: str
    octets: bytes


class Read(msgspec.Struct, frozen=True):
    """Read a characteristic; ``value`` or ``refused`` follows."""

    channel: str


class Fetched(msgspec.Struct, frozen=True):
    """One device event to accept.

    name    octets that are the same whenever the device sends this event again
    age_ms  how long before now it was measured, where the device tells that and no time
    """

    readings: tuple[Reading, ...]
    name: bytes
    age_ms: int = 0


class Passed(msgspec.Struct, frozen=True):
    """A value measured just now: the decoder reads it, as it does without a dialogue."""

    octets: bytes


class ClockShown(msgspec.Struct, frozen=True):
    """The device's clock as the value has just told it, before any record that it dates."""

    time: DeviceTime


class Trouble(msgspec.Struct, frozen=True):
    """The device did not give what it has. ``reason`` is a sentence for a person."""

    reason: str


class Done(msgspec.Struct, frozen=True):
    """Nothing more is to be asked on this link.

    records   how many came over it that were not known
    is_whole  the device has given all it has; False: a Trouble says why not
    """

    records: int
    is_whole: bool = True


Request = Write | Read
Step = Request | Fetched | Passed | ClockShown | Reject | Trouble | Done
Steps = tuple[Step, ...]


class Dialogue(Protocol):
    """One device's conversation, over all its links. No method raises for what a device sends."""

    @property
    def channels(self) -> frozenset[str]:
        """The characteristics whose values it takes once it has begun."""
        ...

    @property
    def kept(self) -> frozenset[str]:
        """Those of them that are not taken before: the device gives their values again."""
        ...

    @property
    def bookmarks(self) -> Bookmarks:
        """What may be kept now: it tells of committed events alone."""
        ...

    @property
    def deadline_ms(self) -> int | None:
        """When ``tick`` has something to do; None = never."""
        ...

    def begin(self, now_ms: int) -> Steps:
        """A link is up, subscribed, and known to be the device's."""
        ...

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A value of one of ``channels``, notified, indicated or read."""
        ...

    def written(self, channel: str, now_ms: int) -> Steps:
        """The device has taken a Write."""
        ...

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """A Write or Read failed; ``code`` is the ATT error, None = the device lacks it."""
        ...

    def tick(self, now_ms: int) -> Steps:
        """Time has passed."""
        ...

    def committed(self) -> Steps:
        """Every Fetched given so far is in the outbox."""
        ...

    def link_lost(self) -> Steps:
        """The link is over."""
        ...


@runtime_checkable
class InformedDialogue(Protocol):
    """A Dialogue that reads some models otherwise than others, by quirks.toml."""

    def known_as(self, info: DeviceInfo) -> None:
        """What the device says of itself; told before ``begin``."""
        ...


@runtime_checkable
class DialogueDecoder(Protocol):
    """A GattDecoder whose device keeps records and wants to be asked for them."""

    @property
    def CONTROL_POINTS(self) -> frozenset[str]:
        """It is held where a profile subscribes one of these."""
        ...

    def dialogue(self, options: Options, bookmarks: Bookmarks) -> Dialogue:
        """Make the conversation of one device; ConfigError for an option it does not know."""
        ...


@runtime_checkable
class ConsentingDecoder(Protocol):
    """A GattDecoder whose device may give a user's values after this user's consent only."""

    @property
    def CONTROL_POINTS(self) -> frozenset[str]:
        """It asks for consent where a profile subscribes one of these."""
        ...

    def consent_dialogue(self, options: Options, consents: tuple[Consent, ...]) -> Dialogue:
        """Make the conversation of one device; ConfigError for an option it does not know."""
        ...


@runtime_checkable
class KeyedDecoder(Protocol):
    """A DialogueDecoder whose device opens to a secret: the gateway makes one for each device.

    It is kept, sealed, before the dialogue is first made, and handed to it as the bookmark KEY;
    ``bookmarks`` must go on holding it. Without one, where it could not be kept, nothing is asked.
    """

    @property
    def NEEDS_KEY(self) -> bool:
        """True."""
        ...
