"""Where each Omron cuff keeps its records: addresses in its memory, as data.

Source  userx14/omblepy, deviceSpecific/hem-*.py (users, slots, sizes, settings), read on these
        models by its contributors; eigger/hass-omron, device_catalog.py (the same addresses, the
        clocks of HEM-6232T and HEM-7530T)
"""

from collections.abc import Mapping
from typing import Final

import msgspec


class Layout(msgspec.Struct, frozen=True):
    """The memory of one model.

    users         address of slot 0 for each user, first user first
    slots         slots of each user: a ring, its oldest record is overwritten
    record        octets of a slot: 14 with high bytes first, 16 with low bytes first
    block         slots in one read, as many as the model is known to give
    index         address and octets of the counters that move with every measurement
    clock         address and octets of the clock
    fields_at     place of the six octets of date and time in the clock
    sum_at        place of the sum of all before it, modulo 256
    summed        octets that the sum is of
    is_mixed      month, year, hour, day, second, minute; else in the usual order
    tells_motion  sources agree which bit is body movement and which irregular pulse
    """

    users: tuple[int, ...]
    slots: int
    record: int
    block: int
    index: tuple[int, int]
    clock: tuple[int, int]
    fields_at: int
    sum_at: int
    summed: int
    is_mixed: bool
    tells_motion: bool = True

    @property
    def is_one_user(self) -> bool:
        """Whether it tells no users apart."""
        return len(self.users) == 1


def _with_short_clock(users: tuple[int, ...]) -> Layout:
    """Big endian, a clock of 10 octets."""
    return Layout(users, 100, 14, 4, (0x0260, 8), (0x0274, 10), 2, 9, 8, is_mixed=True)


def _with_long_clock(users: tuple[int, ...], slots: int, block: int, *, agree: bool) -> Layout:
    """Big endian, a clock of 16 octets."""
    index, clock = (0x0260, 8), (0x028C, 16)
    return Layout(
        users, slots, 14, block, index, clock, 8, 15, 14, is_mixed=True, tells_motion=agree
    )


def _little_endian(users: tuple[int, ...], slots: int) -> Layout:
    return Layout(users, slots, 16, 1, (0x0010, 16), (0x003C, 16), 8, 14, 14, is_mixed=False)


LAYOUTS: Final[Mapping[str, Layout]] = {
    "HEM-6232T": _with_long_clock((0x02E8, 0x0860), 100, 4, agree=False),
    "HEM-7150T": _little_endian((0x0098,), 60),
    "HEM-7155T": _little_endian((0x0098, 0x0458), 60),
    "HEM-7322T": _with_short_clock((0x02AC, 0x0824)),
    "HEM-7342T": _little_endian((0x0098, 0x06D8), 100),
    "HEM-7361T": _little_endian((0x0098, 0x06D8), 100),
    "HEM-7530T": _with_long_clock((0x02E8,), 90, 1, agree=True),
    "HEM-7600T": _with_short_clock((0x02AC,)),
}
"""By model, as printed on the back of the cuff, without what follows its T."""
