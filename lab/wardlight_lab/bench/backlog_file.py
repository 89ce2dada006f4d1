"""Fills the outbox of a gateway with what its ward recorded while there was no link.

The records belong to an earlier boot of the gateway that ended an hour ago and knew the time, as
after an outage that a restart has ended.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from wardlight_edge.config import Settings
from wardlight_edge.daemon import open_outbox
from wardlight_edge.outbox.key import read_or_make
from wardlight_lab.bench.gateway_clock import HOUR_MS, AgedClock
from wardlight_lab.bench.ward import LONGEST_MINUTE_MS, Recorded, Ward
from wardlight_shared.timestamps import Anchor, ClockQuality

_MINUTES_A_COMMIT: Final = 20
_ANCHOR_ERROR_MS: Final = 5


class Backlog(NamedTuple):
    """What waits in an outbox."""

    records: int
    readings: int


async def fill(
    settings: Settings, minutes: int, ward: Callable[[Callable[..., int]], Ward]
) -> Backlog:
    """Append the last ``minutes`` of a ward; ``ward`` makes it with the outbox's numbering."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = read_or_make(settings.data_dir / "outbox.key")
    longest_ms = minutes * LONGEST_MINUTE_MS + HOUR_MS
    clock = AgedClock(longest_ms // HOUR_MS + 1)
    records = readings = 0
    async with open_outbox(settings, clock, key) as outbox:
        mono_ms, wall_ms = clock.mono_ms(), clock.wall_ms()
        anchor = Anchor(outbox.boot, mono_ms, wall_ms, _ANCHOR_ERROR_MS, ClockQuality.NTP)
        await outbox.add_anchor(anchor)
        people = ward(outbox.series_number)
        made: list[Recorded] = []
        for minute in range(minutes):
            made += people.minute(minute, mono_ms - longest_ms, wall_ms - longest_ms)
            if minute % _MINUTES_A_COMMIT == 0 or minute == minutes - 1:
                await outbox.append([each.record for each in made])
                records += len(made)
                readings += sum(each.readings for each in made)
                made.clear()
    return Backlog(records, readings)
