"""A cuff in the range of a proxy: it advertises often and hangs up soon."""

from datetime import UTC, datetime, timedelta

from wardlight_lab.bluez import Pairing
from wardlight_lab.devices.blood_pressure_cuff import BloodPressureCuff
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.stored_records import Habit


class ProxiedCuff(BloodPressureCuff):
    """The cuff of a patient; each name gives another address."""

    def __init__(
        self,
        patient: str = "patient",
        *,
        pairing: Pairing = Pairing.NONE,
        habit: Habit | None = None,
    ) -> None:
        equipment = Equipment(pairing=pairing, advertising_interval_s=0.05)
        habit = habit or Habit(linger=0.05, advertise=60)
        super().__init__(patient, PatientVitals(patient), equipment=equipment, habit=habit)
        self._minutes = 0

    def record(self, count: int = 1) -> None:
        """Store measurements, a minute apart, and advertise."""
        for _ in range(count):
            self._minutes += 1
            self.measure(datetime(2026, 8, 1, 7, tzinfo=UTC) + timedelta(minutes=self._minutes))

    def sent(self) -> list[bytes]:
        """What it counts as sent: the values whose indication was confirmed."""
        return [bytes.fromhex(entry.payload) for entry in self.ledger if entry.acknowledged]
