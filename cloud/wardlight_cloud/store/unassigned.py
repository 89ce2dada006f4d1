"""Readings that are no patient's: a part of the store's Protocol."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol

UNKNOWN_USER: Final = 255
"""Of an assignment: takes the readings whose user the device did not know."""


@dataclass(frozen=True, slots=True)
class UnassignedDay:
    """Readings of one UTC day, of one device and user (None = not known), that are nobody's."""

    device: str
    user: int | None
    day: date
    readings: int
    first: datetime
    last: datetime


class UnassignedStore(Protocol):
    """What an operator is asked about: whose was it?"""

    async def unassigned(self, *, since: date, count: int = 500) -> tuple[UnassignedDay, ...]:
        """Days from ``since`` on with readings that are no patient's, newest first.

        Costs a look at every reading of such a day that is not a patient's as a whole.
        """
