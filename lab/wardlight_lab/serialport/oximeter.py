"""A Nonin oximeter on a patient's finger: one packet after the other, from the patient's vitals."""

from collections.abc import Iterator
from typing import Final

from wardlight_lab.bluez import Transmission
from wardlight_lab.devices.encoding import DeviceClock
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.serialport.nonin import (
    FRAMES_A_PACKET,
    FRAMES_A_SECOND,
    NO_FINGER,
    NO_SENSOR,
    Format,
    Oximetry,
    packet,
)
from wardlight_lab.serialport.pulse_wave import wave

SERIAL: Final = "serial"
PEAK: Final = 52_000
FLOOR: Final = 9_000


class NoninOximeter:
    """Makes packets; `finger_out` and `unplugged_sensor` change what the next ones say."""

    def __init__(
        self,
        vitals: PatientVitals,
        *,
        format_: Format = Format.DF2,
        clock: DeviceClock | None = None,
    ) -> None:
        self._vitals = vitals
        self._format = format_
        self._clock = clock or DeviceClock()
        self._phase = 0.0
        self._count = 0
        self.finger_out = False
        self.unplugged_sensor = False

    def packets(self) -> Iterator[tuple[bytes, dict[str, str]]]:
        """Packets without end, each with the values it tells."""
        while True:
            values = self.values()
            raw = packet(self._format, values, self._pleth(values), timer=self._count)
            self._count = (self._count + 1) % (1 << 14)
            yield raw, _named(values)

    def values(self) -> Oximetry:
        """What the oximeter shows now."""
        if self.unplugged_sensor:
            return NO_SENSOR
        if self.finger_out:
            return NO_FINGER
        now = self._clock.now()
        return Oximetry(int(self._vitals.spo2(now)), int(self._vitals.pulse(now)))

    def _pleth(self, values: Oximetry) -> list[int]:
        """A third of a second of the pulse wave; flat without a pulse."""
        if values.pulse is None:
            return [0] * FRAMES_A_PACKET
        step = values.pulse / 60 / FRAMES_A_SECOND
        samples = []
        for _ in range(FRAMES_A_PACKET):
            samples.append(FLOOR + int((PEAK - FLOOR) * wave(self._phase)))
            self._phase = (self._phase + step) % 1.0
        return samples


def enter(ledger: Ledger, port: str, raw: bytes, values: dict[str, str], *, heard: bool) -> None:
    """Put one packet into the ledger; nothing on a serial line is ever acknowledged."""
    sent = Transmission(delivered=heard)
    ledger.record(port, SERIAL, raw, sent, kind=SERIAL, values=values)


def _named(values: Oximetry) -> dict[str, str]:
    named = {"spo2": values.spo2, "pulse_rate_oximeter": values.pulse}
    return {metric: str(value) for metric, value in named.items() if value is not None}
