"""Thermometer: Temperature Measurement (0x2A1C, indicated).

Out     flags u8 | temperature FLOAT | date time 7 | type u8
Source  Bluetooth Health Thermometer Service 1.0, 3.1
"""

from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Final

from wardlight_lab.bluez import uuid16
from wardlight_lab.devices.emulated import (
    Equipment,
    Identity,
    constant,
    identity_of,
    measured,
)
from wardlight_lab.devices.encoding import Special, date_time, float32, u8
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.stored_records import Habit, Record, StoredRecordDevice

SERVICE: Final = 0x1809
MEASUREMENT: Final = uuid16(0x2A1C)
TYPE: Final = 0x2A1D
APPEARANCE: Final = 0x0301  # Thermometer: Ear

FAHRENHEIT: Final = 0x01
TIME: Final = 0x02
SITE: Final = 0x04


class Site(IntEnum):
    """Temperature Type (GSS, 3.212)."""

    ARMPIT = 1
    BODY = 2
    EAR = 3
    FINGER = 4
    MOUTH = 6
    RECTUM = 7
    TYMPANUM = 9


METRIC: Final = {
    Site.MOUTH: "body_temperature_oral",
    Site.RECTUM: "body_temperature_rectal",
    Site.TYMPANUM: "body_temperature_tympanic",
    Site.EAR: "body_temperature_tympanic",
    Site.ARMPIT: "body_temperature_axillary",
}


def encode(
    value: Decimal | Special, at: datetime | None, site: Site | None, *, fahrenheit: bool = False
) -> bytes:
    """One measurement in degrees Celsius, or Fahrenheit."""
    flags = (
        (FAHRENHEIT if fahrenheit else 0)
        | (0 if at is None else TIME)
        | (0 if site is None else SITE)
    )
    return b"".join(
        (
            u8(flags),
            float32(value),
            b"" if at is None else date_time(at),
            b"" if site is None else u8(site),
        )
    )


class Thermometer(StoredRecordDevice):
    """An ear thermometer such as the A&D UT-201BLE."""

    def __init__(
        self,
        patient: str,
        vitals: PatientVitals,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        habit: Habit | None = None,
        site: Site = Site.BODY,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity
            or identity_of(patient, "thermometer", "UT-201BLE_WL", "A&D Medical", "UT-201BLE"),
            equipment,
            habit or Habit(),
            service=SERVICE,
            characteristics=(
                measured(0x2A1C, "indicate", equipment.pairing),
                constant(TYPE, u8(site)),
            ),
            appearance=APPEARANCE,
            measurement=MEASUREMENT,
        )
        self._vitals = vitals
        self._site = site

    def take_record(self, at: datetime) -> Record:
        """A body temperature in degrees Celsius."""
        value = self._vitals.temperature(at)
        metric = METRIC.get(self._site, "body_temperature")
        return Record(at, encode(value, at, self._site), {metric: str(value)})
