"""What can be made to go wrong, per device and per adapter. All fields may be changed while things
run.

Counters count down: a fault that is used up leaves the device in order. Sequences give one entry to
each link in turn; when they are empty, nothing happens.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wardlight_lab.bluez.errors import ReplyError, failed

ABORT_BY_LOCAL: Final = "le-connection-abort-by-local"
KEY_MISSING: Final = "br-connection-key-missing"


class Operation(StrEnum):
    """A step at which a device can fail or fall silent."""

    CONNECT = "connect"
    RESOLVE = "resolve"
    PAIR = "pair"
    READ = "read"
    WRITE = "write"
    START_NOTIFY = "start_notify"
    DISCONNECT = "disconnect"


@dataclass(slots=True)
class DeviceFaults:
    """Faults of one emulated device.

    fail_connects      that many Connect calls end with `connect_error`; with `abort-by-local` the
                       link comes up and drops at once, as it does in BlueZ
    drop_after         per link: the link drops after this many values (None: not on this link)
    acknowledge_last   whether the value before such a drop is still acknowledged; False makes a
                       device send it again
    lose_first         that many values of each link are acknowledged but never reach the client
    lose_last          the client never sees that many values sent last before the device hangs up
    mute               the link stays up, but nothing the device sends arrives
    refuse_pairing     the device answers pairing with a failure
    refuse_bond        the device has lost its key: encryption fails and the link drops
    hang               these operations never get an answer
    att_errors         ATT error codes that (characteristic, operation) answers next, oldest first
    """

    fail_connects: int = 0
    connect_error: ReplyError = field(default_factory=lambda: failed(ABORT_BY_LOCAL))
    drop_after: deque[int | None] = field(default_factory=deque)
    acknowledge_last: bool = True
    lose_first: int = 0
    lose_last: int = 0
    mute: bool = False
    refuse_pairing: bool = False
    refuse_bond: bool = False
    hang: set[Operation] = field(default_factory=set)
    att_errors: dict[tuple[str, Operation], deque[int]] = field(default_factory=dict)

    def fail_gatt(self, uuid: str, operation: Operation, code: int, times: int = 1) -> None:
        """Let the next `times` operations on a characteristic end with an ATT error code."""
        self.att_errors.setdefault((uuid, operation), deque()).extend([code] * times)

    def next_att_error(self, uuid: str, operation: Operation) -> int | None:
        """The code to answer with now, taken off the list; None when all is well."""
        codes = self.att_errors.get((uuid, operation))
        return codes.popleft() if codes else None

    def next_connect_error(self) -> ReplyError | None:
        """The error to answer this Connect with; None when all is well."""
        if self.fail_connects <= 0:
            return None
        self.fail_connects -= 1
        return self.connect_error


@dataclass(slots=True)
class AdapterFaults:
    """Faults of one adapter.

    silent                 discovery goes on, but no advertisement is reported any more
    start_discovery        errors that the next StartDiscovery calls answer with
    stop_discovery         errors that the next StopDiscovery calls answer with
    connect_while_scanning the error a Connect gets while this adapter discovers (single-radio
    adapters)
    """

    silent: bool = False
    start_discovery: deque[ReplyError] = field(default_factory=deque)
    stop_discovery: deque[ReplyError] = field(default_factory=deque)
    connect_while_scanning: ReplyError | None = None
