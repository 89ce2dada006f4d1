"""When a record was measured, and how sure that is: limits and bounds as the store keeps them."""

from typing import Final, NamedTuple

from wardlight_shared.envelope import Clock
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.model import Flag
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import ClockQuality

EARLIEST_MS: Final = 0
LATEST_MS: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last a datetime can hold
LATE_AFTER_MS: Final = 5 * 60 * 1000  # measured this long before receipt: it waited on the device
_LARGEST_BOUND_MS: Final = (1 << 31) - 1  # error_ms is an int32; a longer bound says nothing
NO_BOUND: Final = -1
_TIME_UNCERTAIN: Final = int(Flag.TIME_UNCERTAIN)
_BEST_QUALITY: Final = int(max(ClockQuality))


class Moment(NamedTuple):
    """Receipt of one record at the gateway: UTC in ms and how the gateway knew it."""

    time_ms: int
    clock: Clock

    def bound(self, error_ms: int | None) -> int:
        """Error bound in ms of a time found with ``error_ms`` of its own; NO_BOUND = none."""
        own = self.clock.error_ms
        if own is None or error_ms is None or own + error_ms > _LARGEST_BOUND_MS:
            return NO_BOUND
        return own + error_ms

    def check(self) -> None:
        """EnvelopeError for a clock of which this version cannot say how good it is."""
        if self.clock.quality > _BEST_QUALITY:
            raise EnvelopeError(f"unknown quality {self.clock.quality}", where="clocks")

    def how(self, method: TimeMethod) -> int:
        """ClockQuality | TimeMethod << 4."""
        return self.clock.quality | method << 4


def flags_of_bound(bound_ms: int) -> int:
    """The flag that tells a reader that no bound is given."""
    return _TIME_UNCERTAIN if bound_ms == NO_BOUND else 0


def checked_ms(time_ms: int, where: str) -> int:
    """The time itself; EnvelopeError when no calendar of ours holds it."""
    if not EARLIEST_MS <= time_ms <= LATEST_MS:
        raise EnvelopeError("time before 1970 or after 9999", where=where)
    return time_ms
