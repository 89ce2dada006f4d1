"""A run of heart beats, as the Heart Rate Service counts them."""

from dataclasses import dataclass
from typing import Final

TICKS_A_SECOND: Final = 1024  # resolution of an RR interval (Heart Rate Service 1.0, 3.1.1.4)


@dataclass(frozen=True, slots=True)
class Beats:
    """The intervals between beats in 1/1024 s, and where they come from."""

    rr: tuple[int, ...]
    source: str
