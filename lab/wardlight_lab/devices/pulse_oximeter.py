"""Pulse oximeter: PLX Continuous Measurement (0x2A5F, notified) and Spot-Check (0x2A5E, indicated).

Out     2A5F: flags u8 | SpO2, pulse rate SFLOAT | measurement status u16 | sensor status u24
        | pulse amplitude index SFLOAT
        2A5E: flags u8 | SpO2, pulse rate SFLOAT | date time 7 | measurement status u16
Source  Bluetooth Pulse Oximeter Service 1.0.1, 3.2 and 3.3
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from wardlight_lab.bluez import uuid16
from wardlight_lab.devices.emulated import (
    Equipment,
    Identity,
    constant,
    identity_of,
    measured,
)
from wardlight_lab.devices.encoding import Special, date_time, sfloat, u8, u16, u24
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.stored_records import Habit, Record, StoredRecordDevice
from wardlight_lab.devices.streaming import StreamingDevice

SERVICE: Final = 0x1822
SPOT: Final = uuid16(0x2A5E)
CONTINUOUS: Final = uuid16(0x2A5F)
FEATURES: Final = 0x2A60
APPEARANCE: Final = 0x0C41  # Pulse Oximeter: Fingertip

CONTINUOUS_STATUS: Final = 0x04
CONTINUOUS_SENSOR: Final = 0x08
CONTINUOUS_AMPLITUDE: Final = 0x10
SPOT_TIME: Final = 0x01
SPOT_STATUS: Final = 0x02

ONGOING: Final = 1 << 5
VALIDATED: Final = 1 << 7
UNAVAILABLE: Final = 1 << 13
SENSOR_OFF: Final = 1 << 11
SUPPORTS: Final = 0x0003  # measurement status and sensor status are supported


def encode_continuous(
    spo2: Decimal | Special,
    pulse: Decimal | Special,
    *,
    status: int = ONGOING | VALIDATED,
    sensor: int = 0,
    amplitude: Decimal | Special = Decimal("4.2"),
) -> bytes:
    """One second of a continuous measurement."""
    flags = CONTINUOUS_STATUS | CONTINUOUS_SENSOR | CONTINUOUS_AMPLITUDE
    return u8(flags) + sfloat(spo2) + sfloat(pulse) + u16(status) + u24(sensor) + sfloat(amplitude)


def encode_spot(
    spo2: Decimal | Special, pulse: Decimal | Special, at: datetime, *, status: int = VALIDATED
) -> bytes:
    """One spot check."""
    flags = SPOT_TIME | SPOT_STATUS
    return u8(flags) + sfloat(spo2) + sfloat(pulse) + date_time(at) + u16(status)


class PulseOximeter(StreamingDevice):
    """A fingertip oximeter that streams once a second; `finger_out` takes the finger away."""

    def __init__(
        self,
        patient: str,
        vitals: PatientVitals,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        speed: float = 1.0,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity or identity_of(patient, "oximeter", "Nonin3230_WL", "Nonin Medical", "3230"),
            equipment,
            service=SERVICE,
            characteristics=(
                measured(0x2A5F, "notify", equipment.pairing),
                constant(FEATURES, u16(SUPPORTS)),
            ),
            appearance=APPEARANCE,
            measurement=CONTINUOUS,
            speed=speed,
        )
        self._vitals = vitals
        self.finger_out = False

    def next_value(self) -> tuple[bytes, dict[str, str]]:
        """Saturation and pulse of now; without a finger, NaN and the status bits that say so."""
        if self.finger_out:
            payload = encode_continuous(
                Special.NAN,
                Special.NAN,
                status=ONGOING | UNAVAILABLE,
                sensor=SENSOR_OFF,
                amplitude=Special.NAN,
            )
            return payload, {}
        now = self.clock.now()
        spo2, pulse = self._vitals.spo2(now), self._vitals.pulse(now)
        values = {"spo2": str(spo2), "pulse_rate_oximeter": str(pulse), "perfusion_index": "4.2"}
        return encode_continuous(spo2, pulse), values


class SpotPulseOximeter(StoredRecordDevice):
    """An oximeter that sends one result when the finger leaves."""

    def __init__(
        self,
        patient: str,
        vitals: PatientVitals,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        habit: Habit | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity
            or identity_of(patient, "spot oximeter", "MightySat_WL", "Masimo", "MightySat"),
            equipment,
            habit or Habit(),
            service=SERVICE,
            characteristics=(
                measured(0x2A5E, "indicate", equipment.pairing),
                constant(FEATURES, u16(SUPPORTS)),
            ),
            appearance=APPEARANCE,
            measurement=SPOT,
        )
        self._vitals = vitals

    def take_record(self, at: datetime) -> Record:
        """A spot check with its time."""
        spo2, pulse = self._vitals.spo2(at), self._vitals.pulse(at)
        values = {"spo2": str(spo2), "pulse_rate_oximeter": str(pulse)}
        return Record(at, encode_spot(spo2, pulse, at), values)
