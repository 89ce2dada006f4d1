"""Glucose meter: Glucose Measurement (0x2A18) and Context (0x2A34), by record access.

Out     2A18: flags u8 | sequence u16 | base time 7 | [offset s16 min] | concentration SFLOAT kg/L
        | type and location u8 | [status u16]
        2A34: flags u8 | sequence u16 | meal u8
Source  Bluetooth Glucose Service 1.0.1, 3.1 and 3.2
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from wardlight_lab.bluez import uuid16
from wardlight_lab.devices.emulated import Equipment, Identity, constant, identity_of, measured
from wardlight_lab.devices.encoding import date_time, sfloat, u8, u16
from wardlight_lab.devices.record_access import Access, KeptRecord, Notified, RecordAccessDevice

SERVICE: Final = 0x1808
MEASUREMENT: Final = uuid16(0x2A18)
CONTEXT: Final = uuid16(0x2A34)
FEATURE: Final = 0x2A51
APPEARANCE: Final = 0x0400  # Generic Glucose Meter

OFFSET, CONCENTRATION, MOLES, STATUS, CONTEXT_FOLLOWS = (1 << bit for bit in range(5))
CAPILLARY_BLOOD: Final = 1
CONTROL_SOLUTION: Final = 10
FINGER: Final = 1
HAS_MEAL: Final = 0x02
MEALS: Final = {"before-meal": 1, "after-meal": 2, "fasting": 3, "casual": 4, "bedtime": 5}


def encode(
    sequence: int,
    mg_dl: Decimal,
    base: datetime,
    *,
    offset_min: int = 0,
    kind: int = CAPILLARY_BLOOD,
    context_follows: bool = False,
) -> bytes:
    """One record in kg/L: 1 mg/dL is 1e-5 kg/L."""
    flags = CONCENTRATION | (OFFSET if offset_min else 0)
    flags |= CONTEXT_FOLLOWS if context_follows else 0
    offset = offset_min.to_bytes(2, "little", signed=True) if offset_min else b""
    concentration = sfloat(mg_dl.scaleb(-5)) + u8(FINGER << 4 | kind)
    return u8(flags) + u16(sequence) + date_time(base) + offset + concentration


def encode_context(sequence: int, meal: str) -> bytes:
    """The context of a record: its meal."""
    return u8(HAS_MEAL) + u16(sequence) + u8(MEALS[meal])


class GlucoseMeter(RecordAccessDevice):
    """A meter whose numbers begin at 1; ``clear`` makes them begin anew."""

    def __init__(
        self,
        patient: str,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        access: Access | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity or identity_of(patient, "glucose meter", "meter+WL", "Roche", "Guide"),
            equipment,
            access or Access(),
            service=SERVICE,
            characteristics=(
                measured(0x2A18, "notify", equipment.pairing),
                measured(0x2A34, "notify", equipment.pairing),
                constant(FEATURE, u16(0)),
            ),
            needs=(MEASUREMENT, CONTEXT),
            appearance=APPEARANCE,
        )
        self._next = 1
        self._taken = 0

    def measure(
        self,
        at: datetime | None = None,
        *,
        meal: str | None = None,
        offset_min: int = 0,
        is_control: bool = False,
    ) -> KeptRecord:
        """Take a measurement, keep it and advertise it."""
        at = self.clock.now() if at is None else at
        sequence, self._next = self._next, self._next + 1
        self._taken += 1
        value = Decimal(70 + self._taken * 37 % 180)
        kind = CONTROL_SOLUTION if is_control else CAPILLARY_BLOOD
        payload = encode(
            sequence,
            value,
            at - timedelta(minutes=offset_min),
            offset_min=offset_min,
            kind=kind,
            context_follows=meal is not None,
        )
        parts = [Notified(MEASUREMENT, payload, {"glucose": str(value)})]
        if meal is not None:
            parts.append(Notified(CONTEXT, encode_context(sequence, meal)))
        record = KeptRecord(sequence, at, tuple(parts))
        self.store(record)
        return record

    def clear(self) -> None:
        """Somebody clears the memory: numbers begin anew."""
        self.memory.clear()
        self._next = 1
