"""Which of the radios that hear a device is to visit it. Pure.

A radio that makes no links (a proxy that only listens, or is away) is never chosen, nor is one
without a free link: who waits for that one would not see that another has become free. Of the
others the strongest counts, but the radio of the last visit keeps the device until another is
clearly stronger: signals of a device that lies still swing by several dB, and a device that goes to
and fro finds its notifications, its clock and its cache in other hands.
"""

from collections.abc import Sequence
from typing import Final

from wardlight_edge.transports.ble import Heard

CLEARLY_DB: Final = 10


def choose(heard: Sequence[tuple[Heard, int | None]], last: str | None) -> Heard | None:
    """The advertisement to follow, of one device and several radios; None = none for now.

    heard  what each radio has heard, with the links it has left; None: it makes none
    last   the radio of the last visit
    """
    usable = [each for each, links in heard if links is not None and links > 0]
    return max(usable, key=lambda each: _rank(each, last), default=None)


def _rank(heard: Heard, last: str | None) -> int:
    return heard.rssi + (CLEARLY_DB if heard.adapter == last else 0)
