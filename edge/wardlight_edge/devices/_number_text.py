"""A number written as text, and what a device shows in the place of one.

Out     ``decimal_of``: exact; ASCII digits with a sign and a point, 10 digits before it and 8 after
        ``absent_of``: dashes or nothing is NOT_MEASURED, HI and LO are beyond the range
Errors  none: None for what is neither
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from wardlight_shared.model import Absent

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,10}(?:\.[0-9]{0,8})?|\.[0-9]{1,8})\Z")
_FILLERS: Final = "-*?. "
_WORDS: Final[Mapping[str, Absent]] = {
    "HI": Absent.OVER_RANGE,
    "HIGH": Absent.OVER_RANGE,
    "LO": Absent.UNDER_RANGE,
    "LOW": Absent.UNDER_RANGE,
    "NAN": Absent.NAN,
}


def decimal_of(text: str) -> Decimal | None:
    """The number; None = this is none."""
    return Decimal(text) if _NUMBER.match(text) else None


def is_blank(text: str) -> bool:
    """Whether it is empty or only fillers, as "---"."""
    return not text.strip(_FILLERS)


def absent_of(text: str) -> Absent | None:
    """Why there is no number; None = this does not say."""
    return Absent.NOT_MEASURED if is_blank(text) else _WORDS.get(text.upper())
