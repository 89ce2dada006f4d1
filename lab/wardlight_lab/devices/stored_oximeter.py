"""Finger oximeter with a memory: PLX Spot-Check (0x2A5E, indicated) by record access.

Its records have no numbers: all of them are asked for, marked as coming from storage.

Source  Bluetooth Pulse Oximeter Service 1.0.1, 3.2 and 3.5
"""

from datetime import datetime
from typing import Final

from wardlight_lab.bluez import Link
from wardlight_lab.devices.emulated import Equipment, Identity, constant, identity_of, measured
from wardlight_lab.devices.encoding import u16
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.pulse_oximeter import SPOT, SUPPORTS, VALIDATED, encode_spot
from wardlight_lab.devices.record_access import (
    ALL,
    Access,
    KeptRecord,
    Notified,
    RecordAccessDevice,
)

SERVICE: Final = 0x1822
FEATURES: Final = 0x2A60
APPEARANCE: Final = 0x0C41  # Pulse Oximeter: Fingertip
FROM_STORAGE: Final = 1 << 9


class StoredOximeter(RecordAccessDevice):
    """An oximeter that keeps its spot checks."""

    def __init__(
        self,
        patient: str,
        vitals: PatientVitals,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        access: Access | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity or identity_of(patient, "stored oximeter", "WL-PLX", "Wardlight Lab", "PLX"),
            equipment,
            access or Access(operators=frozenset({ALL})),
            service=SERVICE,
            characteristics=(
                measured(0x2A5E, "indicate", equipment.pairing),
                constant(FEATURES, u16(SUPPORTS)),
            ),
            needs=(SPOT,),
            appearance=APPEARANCE,
        )
        self._vitals = vitals

    def measure(self, at: datetime | None = None) -> KeptRecord:
        """Take a spot check and keep it."""
        at = self.clock.now() if at is None else at
        spo2, pulse = self._vitals.spo2(at), self._vitals.pulse(at)
        payload = encode_spot(spo2, pulse, at, status=VALIDATED | FROM_STORAGE)
        values = {"spo2": str(spo2), "pulse_rate_oximeter": str(pulse)}
        record = KeptRecord(len(self.memory) + 1, at, (Notified(SPOT, payload, values),))
        self.store(record)
        return record

    async def show(self, link: Link, record: KeptRecord) -> None:
        """Indicate a spot check at once, as it is taken: the same without the mark of storage."""
        values = record.parts[0].values
        spo2, pulse = self._vitals.spo2(record.measured_at), self._vitals.pulse(record.measured_at)
        payload = encode_spot(spo2, pulse, record.measured_at)
        await self.send_indication(link, SPOT, payload, values, record.measured_at)

    async def _report(self, link: Link, records: list[KeptRecord]) -> None:
        for record in records:
            if record.number in self.access.lost:
                self.access.lost.discard(record.number)
                continue
            part = record.parts[0]
            await self.send_indication(
                link, part.uuid, part.payload, part.values, record.measured_at
            )
