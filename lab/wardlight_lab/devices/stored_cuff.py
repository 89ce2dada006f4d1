"""Cuff with a memory for two users: Blood Pressure Record (0x2B36) by record access.

Out     segmentation u8 | sequence number u16, of each user by itself | 352A | Blood Pressure
        Measurement | CRC u16; in one segment, or in segments of ``segment`` octets
Source  Bluetooth GSS, Blood Pressure Record; Blood Pressure Service 1.1.1, 3.6 and 3.7
"""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Final

from wardlight_lab.bluez import uuid16
from wardlight_lab.devices.blood_pressure_cuff import APPEARANCE, FEATURE, SERVICE, encode
from wardlight_lab.devices.emulated import Equipment, Identity, constant, identity_of, measured
from wardlight_lab.devices.encoding import u8, u16
from wardlight_lab.devices.patient import BloodPressure
from wardlight_lab.devices.record_access import Access, KeptRecord, Notified, RecordAccessDevice

RECORD: Final = uuid16(0x2B36)
HAS_CRC: Final = 0x0040  # Blood Pressure Feature, E2E-CRC supported
FIRST, LAST = 1, 2
REFLECTED: Final = 0x8408


def crc(octets: bytes) -> bytes:
    """CRC-16/MCRF4XX, low byte first."""
    left = 0xFFFF
    for octet in octets:
        for bit in range(8):
            is_one = (octet >> bit ^ left) & 1
            left = left >> 1 ^ (REFLECTED if is_one else 0)
    return u16(left)


def encode_record(number: int, measurement: bytes, segment: int | None = None) -> list[bytes]:
    """The segments of a record of 0x2A35."""
    head = u16(number) + u16(0x2A35)
    if segment is None:
        whole = u8(FIRST | LAST) + head + measurement
        return [whole + crc(whole)]
    parts = [measurement[at : at + segment] for at in range(0, len(measurement), segment)]
    sent = []
    for place, part in enumerate(parts):
        flags = (FIRST if place == 0 else 0) | (LAST if place == len(parts) - 1 else 0)
        sent.append(u8(place % 64 << 2 | flags) + head + part)
    sent[-1] += crc(b"".join(sent))
    return sent


class StoredCuff(RecordAccessDevice):
    """A cuff that keeps what it measured and gives it when it is asked.

    segment  octets of a measurement in one notification; None = all of them
    """

    def __init__(
        self,
        patient: str,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        access: Access | None = None,
        segment: int | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        super().__init__(
            identity or identity_of(patient, "stored cuff", "WL-BLS", "Wardlight Lab", "BLS"),
            equipment,
            access or Access(),
            service=SERVICE,
            characteristics=(
                measured(0x2B36, "notify", equipment.pairing),
                constant(FEATURE, u16(HAS_CRC)),
            ),
            needs=(RECORD,),
            appearance=APPEARANCE,
        )
        self._segment = segment
        self._numbers: Counter[int] = Counter()

    def measure(self, at: datetime | None = None, *, user: int = 1) -> KeptRecord:
        """Take a measurement of a user and keep it."""
        at = self.clock.now() if at is None else at
        number = self._numbers[user]
        self._numbers[user] += 1
        systolic = Decimal(110 + len(self.memory) % 60)
        values = BloodPressure(systolic, Decimal(80), Decimal(93), Decimal(64))
        parts = encode_record(number, encode(values, at, user=user), self._segment)
        said = {"systolic_bp": str(systolic)}
        record = KeptRecord(number, at, tuple(Notified(RECORD, part, said) for part in parts))
        self.store(record)
        return record
