"""Weight scale: Weight Measurement (0x2A9D, indicated).

Out     flags u8 | weight u16 (0.005 kg or 0.01 lb) | date time 7 | [user u8]
Source  Bluetooth Weight Scale Service 1.0, 3.2.1; GSS, Weight Measurement
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
from wardlight_lab.devices.encoding import date_time, u8, u16
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.stored_records import Habit, Record, StoredRecordDevice

SERVICE: Final = 0x181D
MEASUREMENT: Final = uuid16(0x2A9D)
FEATURE: Final = 0x2A9E
APPEARANCE: Final = 0x0C80  # Weight Scale

TIME: Final = 0x02
USER: Final = 0x04
UNSUCCESSFUL: Final = 0xFFFF
RESOLUTION_KG: Final = Decimal("0.005")
# Time stamps and several users; weight resolution 0.05 kg (WSS 1.0, 3.1: bits 3-6, value 4).
FEATURES: Final = 0x0000_0001 | 0x0000_0002 | 4 << 3


def encode(kilograms: Decimal | None, at: datetime, *, user: int | None = None) -> bytes:
    """One measurement; None is the value for an unsuccessful one. Errors: ValueError."""
    steps = Decimal(UNSUCCESSFUL) if kilograms is None else kilograms / RESOLUTION_KG
    if steps != steps.to_integral_value():
        raise ValueError(f"{kilograms} kg is no multiple of {RESOLUTION_KG} kg")
    flags = TIME | (0 if user is None else USER)
    return u8(flags) + u16(int(steps)) + date_time(at) + (b"" if user is None else u8(user))


class WeightScale(StoredRecordDevice):
    """A bathroom scale such as the A&D UC-352BLE."""

    def __init__(
        self,
        patient: str,
        vitals: PatientVitals,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        habit: Habit | None = None,
        user: int | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity or identity_of(patient, "scale", "UC-352BLE_WL", "A&D Medical", "UC-352BLE"),
            equipment,
            habit or Habit(),
            service=SERVICE,
            characteristics=(
                measured(0x2A9D, "indicate", equipment.pairing),
                constant(FEATURE, FEATURES.to_bytes(4, "little")),
            ),
            appearance=APPEARANCE,
            measurement=MEASUREMENT,
        )
        self._vitals = vitals
        self._user = user

    def take_record(self, at: datetime) -> Record:
        """A body weight; the metric's unit is kg."""
        value = self._vitals.weight(at)
        return Record(at, encode(value, at, user=self._user), {"body_weight": str(value)})
