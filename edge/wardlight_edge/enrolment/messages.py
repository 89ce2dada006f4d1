"""What an operator's commands and the running gateway say to each other, as JSON. Pure."""

from enum import StrEnum

import msgspec

from wardlight_edge.config import DeviceSettings


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that is enrolled, or shall be, and nothing else."""

    device: DeviceSettings


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device by its identity."""

    identity: str


class Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change of a device.

    calibration_due  a day as 2027-03-01, or "" = none any more; None = as it is
    profile          name of another profile; None = as it is
    """

    identity: str
    calibration_due: str | None = None
    profile: str | None = None


class Overhear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the proxies have heard of anybody since the answer before; None = from now on."""

    since: int | None = None


class Removed(msgspec.Struct, frozen=True):
    """What was removed with a device.

    had_bond   BlueZ held a key, which it has dropped
    bond_left  why a key could not be dropped; None = none is left
    given_up   readings that waited until it would be known whose they are
    """

    had_bond: bool
    bond_left: str | None
    given_up: int


class Opened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pairing window that is wanted for ``seconds``."""

    identity: str
    seconds: float


class Digits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's answer to a question; None = they refuse.

    question  the number of the question, so that late digits never answer another one
    """

    window: str
    question: int
    digits: int | None


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The window whose state is asked for, or that is to be closed."""

    window: str


class Phase(StrEnum):
    """Where a pairing is."""

    LISTENING = "listening"
    CONNECTING = "connecting"
    ASKING = "asking"  # the device shows digits
    SHOWING = "showing"  # digits are to be typed on the device
    IDENTIFYING = "identifying"  # bonded; its serial number is still to be read
    DONE = "done"
    FAILED = "failed"


OVER = frozenset({Phase.DONE, Phase.FAILED})


class Window(msgspec.Struct, frozen=True):
    """A pairing window as the operator sees it.

    window     names it; only who opened it knows
    text       a sentence for the operator
    question   number of the question that is open, 0 = none
    digits     to be typed on the device
    seconds    how long it stays open
    """

    window: str
    identity: str
    phase: Phase
    text: str
    seconds: float
    question: int = 0
    digits: str | None = None
