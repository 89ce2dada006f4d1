"""Heart rate strap: Heart Rate Measurement (0x2A37, notified once a second) from a list of beats.

Out     flags u8 | heart rate u8, or u16 above 255 | [RR intervals u16, 1/1024 s, oldest first]
Source  Bluetooth Heart Rate Service 1.0, 3.1
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wardlight_lab.bluez import Pairing, uuid16
from wardlight_lab.devices.emulated import (
    Equipment,
    Identity,
    constant,
    identity_of,
    measured,
)
from wardlight_lab.devices.encoding import u8, u16
from wardlight_lab.devices.streaming import StreamingDevice
from wardlight_lab.physiology.beats import TICKS_A_SECOND, Beats

SERVICE: Final = 0x180D
MEASUREMENT: Final = uuid16(0x2A37)
BODY_SENSOR_LOCATION: Final = 0x2A38
CHEST: Final = 1
APPEARANCE: Final = 0x0341  # Heart Rate Sensor: Heart Rate Belt

WIDE: Final = 0x01
CONTACT: Final = 0x06  # contact supported and detected
RR: Final = 0x10

AVERAGED_BEATS: Final = 5  # the rate shown is the mean over the last beats
MAX_RR: Final = 9  # what fits an ATT payload of 20 bytes with an 8-bit rate


@dataclass(frozen=True, slots=True)
class HeartRate:
    """One second: the rate per minute and the intervals that ended in it."""

    bpm: int
    rr: tuple[int, ...]


def encode(measurement: HeartRate) -> bytes:
    """One notification."""
    wide = measurement.bpm > 255
    flags = CONTACT | (WIDE if wide else 0) | (RR if measurement.rr else 0)
    rate = u16(measurement.bpm) if wide else u8(measurement.bpm)
    return u8(flags) + rate + b"".join(u16(each) for each in measurement.rr)


def measurements(rr: Sequence[int]) -> Iterator[HeartRate]:
    """Cut beats into seconds: each interval appears once, in the second in which it ended."""
    ended: list[int] = []
    recent: list[int] = []
    now, second = 0, TICKS_A_SECOND
    for interval in rr:
        now += interval
        while now > second:
            if recent:
                yield HeartRate(_rate(recent), tuple(ended[:MAX_RR]))
                del ended[:MAX_RR]
            second += TICKS_A_SECOND
        ended.append(interval)
        recent = [*recent, interval][-AVERAGED_BEATS:]
    while ended:
        yield HeartRate(_rate(recent), tuple(ended[:MAX_RR]))
        del ended[:MAX_RR]


class HeartRateStrap(StreamingDevice):
    """A chest strap such as the Polar H10, open to any client.

    beats   what it plays, or a function that loads it: called in a thread when its life begins
    repeat  start again when the beats are used up
    """

    def __init__(
        self,
        patient: str,
        beats: Beats | Callable[[], Beats],
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        speed: float = 1.0,
        repeat: bool = False,
    ) -> None:
        equipment = equipment or Equipment(pairing=Pairing.NONE)
        super().__init__(
            identity or identity_of(patient, "strap", "H10_WL", "Polar Electro Oy", "H10"),
            equipment,
            service=SERVICE,
            characteristics=(
                measured(0x2A37, "notify", equipment.pairing),
                constant(BODY_SENSOR_LOCATION, u8(CHEST)),
            ),
            appearance=APPEARANCE,
            measurement=MEASUREMENT,
            speed=speed,
        )
        self._load = beats if callable(beats) else lambda: beats
        self._repeat = repeat
        self._playing: Iterator[HeartRate] = iter(())
        self.beats: Beats | None = None

    async def run(self) -> None:
        """Load the beats, then be there for whoever wants them."""
        self.beats = await asyncio.to_thread(self._load)
        self._playing = measurements(self.beats.rr)
        await super().run()

    def next_value(self) -> tuple[bytes, dict[str, str]] | None:
        """The next second of the recording; a link that was lost is taken up where it ended."""
        second = next(self._playing, None)
        if second is None and self._repeat and self.beats is not None:
            self._playing = measurements(self.beats.rr)
            second = next(self._playing, None)
        if second is None:
            return None
        values = {"heart_rate": str(second.bpm)}
        if second.rr:
            values["rr_1024"] = " ".join(map(str, second.rr))
        return encode(second), values


def _rate(recent: Sequence[int]) -> int:
    return round(60 * TICKS_A_SECOND * len(recent) / sum(recent))
