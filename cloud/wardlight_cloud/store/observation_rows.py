"""Observations as the store gives them: whose, when, and digits that are exact.

A page has a hundred of these, and reading them is most of what the API does. Hence Structs (made
ten times faster than dataclasses), times in microseconds since 1970, and one object for all that
many Observations have in common.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Value(msgspec.Struct, frozen=True, gc=False):
    """One stored number of an Observation. ``absent`` is a wire code, 0 = present."""

    metric: int  # wire number of the code table
    mantissa: int
    scale: int
    absent: int
    unit: str
    flags: int


class Origin(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What all Observations of a series have in common while one patient has the device.

    ``metric`` is the panel's number for a panel.
    """

    metric: int
    patient_id: UUID
    device_id: UUID
    user: int | None
    site: str | None


class Kind(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """All of a Value but its digits."""

    metric: int
    scale: int
    absent: int
    unit: str
    flags: int

    def value(self, mantissa: int) -> Value:
        """The Value with these digits."""
        return Value(self.metric, mantissa, self.scale, self.absent, self.unit, self.flags)


class Circumstances(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What many Observations have in common: all but ids, times, digits and remarks.

    ``kinds`` are one for a single value, or those of a panel's components. The store gives the
    same object for the same facts as long as it can, so that texts made of it are found fast.
    """

    origin: Origin
    kinds: tuple[Kind, ...]
    gateway: str
    offset_min: int
    clock: int  # ClockQuality | TimeMethod << 4
    error_ms: int  # -1 = no honest bound
    device: str = ""  # identity of the sensor in the register


class ObservationRow(msgspec.Struct, gc=False):
    """One Observation: a single value, or a panel (blood pressure) with its components.

    observation_id is opaque and stable.
    """

    observation_id: str
    circumstances: Circumstances
    mantissas: tuple[int, ...]  # one for each of the kinds
    time_us: int
    device_time: str | None
    raw: tuple[str, str] | None  # (decimal text, unit) before conversion, single values only
    context: tuple[tuple[str, str], ...]
    commit_seq: int
    stored_at: datetime

    @property
    def time(self) -> datetime:
        """``time_us`` as an instant."""
        return _EPOCH + timedelta(microseconds=self.time_us)

    @property
    def origin(self) -> Origin:
        """Whose it is, and of what."""
        return self.circumstances.origin

    @property
    def values(self) -> list[Value]:
        """Its numbers, by metric."""
        kinds = self.circumstances.kinds
        return [kind.value(digits) for kind, digits in zip(kinds, self.mantissas, strict=True)]
