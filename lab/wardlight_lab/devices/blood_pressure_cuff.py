"""Blood pressure cuff: Blood Pressure Measurement (0x2A35, indicated).

Out     flags u8 | systolic, diastolic, mean SFLOAT | date time 7 | pulse SFLOAT | [user u8]
        | status u16
Source  Bluetooth Blood Pressure Service 1.1.1, 3.1.1
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from wardlight_lab.bluez import Characteristic, uuid16
from wardlight_lab.devices.emulated import (
    Equipment,
    Identity,
    constant,
    identity_of,
    measured,
)
from wardlight_lab.devices.encoding import Special, date_time, sfloat, u8, u16
from wardlight_lab.devices.patient import BloodPressure, PatientVitals
from wardlight_lab.devices.stored_records import Habit, Record, StoredRecordDevice

SERVICE: Final = 0x1810
MEASUREMENT: Final = uuid16(0x2A35)
FEATURE: Final = 0x2A49
APPEARANCE: Final = 0x0381  # Blood Pressure: Arm (Assigned Numbers, 2.6)

TIME: Final = 0x02
PULSE: Final = 0x04
USER: Final = 0x08
STATUS: Final = 0x10

MOVEMENT: Final = 0x0001
IRREGULAR_PULSE: Final = 0x0004
FEATURES: Final = 0x0005  # movement and irregular pulse detection


def encode(
    values: BloodPressure, at: datetime, *, user: int | None = None, status: int = 0
) -> bytes:
    """One measurement in mmHg."""
    flags = TIME | PULSE | STATUS | (0 if user is None else USER)
    return b"".join(
        (
            u8(flags),
            sfloat(values.systolic),
            sfloat(values.diastolic),
            sfloat(values.mean),
            date_time(at),
            sfloat(values.pulse),
            b"" if user is None else u8(user),
            u16(status),
        )
    )


def encode_failed(at: datetime) -> bytes:
    """A measurement that went wrong: no values, only its time."""
    return u8(TIME) + sfloat(Special.NAN) * 3 + date_time(at)


class BloodPressureCuff(StoredRecordDevice):
    """An upper arm cuff such as the A&D UA-651BLE: measures, stores, sends, hangs up."""

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
        measurement: tuple[Characteristic, ...] = (
            measured(0x2A35, "indicate", equipment.pairing),
            constant(FEATURE, u16(FEATURES)),
        )
        super().__init__(
            identity or identity_of(patient, "cuff", "UA-651BLE_WL", "A&D Medical", "UA-651BLE"),
            equipment,
            habit or Habit(),
            service=SERVICE,
            characteristics=measurement,
            appearance=APPEARANCE,
            measurement=MEASUREMENT,
        )
        self._vitals = vitals
        self._user = user

    def take_record(self, at: datetime) -> Record:
        """A blood pressure with its pulse."""
        values = self._vitals.blood_pressure(at)
        return Record(at, encode(values, at, user=self._user), _named(values))


def _named(values: BloodPressure) -> dict[str, str]:
    named: dict[str, Decimal] = {
        "systolic_bp": values.systolic,
        "diastolic_bp": values.diastolic,
        "mean_bp": values.mean,
        "pulse_rate_nibp": values.pulse,
    }
    return {metric: str(value) for metric, value in named.items()}
