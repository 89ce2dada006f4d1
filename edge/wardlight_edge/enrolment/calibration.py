"""What a day of calibration means today. Pure."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Final

SOON: Final = timedelta(days=30)


class Calibration(StrEnum):
    """How a device stands to its next calibration."""

    GOOD = "good"
    DUE = "due"
    OVERDUE = "overdue"


def calibration_of(due: date | None, today: date | None) -> Calibration | None:
    """None: the device has no such day, or today is not known.

    On the day itself the device is due, not overdue.
    """
    if due is None or today is None:
        return None
    if today > due:
        return Calibration.OVERDUE
    return Calibration.DUE if due - today <= SOON else Calibration.GOOD
