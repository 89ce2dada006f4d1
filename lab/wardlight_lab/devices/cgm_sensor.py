"""Continuous glucose monitor: CGM Measurement (0x2AA7) live and by record access.

Out     2AA7: size u8 | flags u8 | concentration SFLOAT mg/dL | offset u16 min | [warning u8]
        | [CRC u16]; several records in one notification where they are asked for
        2AA8 feature, 2AA9 status, 2AAA session start, 2AAB run time; 2AAC answers "get interval"
Source  Bluetooth CGM Service 1.0.2, 3.1 to 3.11
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from wardlight_lab.bluez import Characteristic, Link, LinkLostError, uuid16
from wardlight_lab.devices.emulated import Equipment, Identity, identity_of, measured
from wardlight_lab.devices.encoding import date_time, sfloat, u8, u16, u24
from wardlight_lab.devices.ledger import NOTIFY
from wardlight_lab.devices.record_access import Access, KeptRecord, Notified, RecordAccessDevice

SERVICE: Final = 0x181F
MEASUREMENT: Final = uuid16(0x2AA7)
FEATURE: Final = uuid16(0x2AA8)
STATUS: Final = uuid16(0x2AA9)
START: Final = uuid16(0x2AAA)
RUN_TIME: Final = uuid16(0x2AAB)
OPERATIONS: Final = uuid16(0x2AAC)
APPEARANCE: Final = 0x0D00  # Continuous Glucose Monitor

E2E_CRC: Final = 1 << 12
INTERSTITIAL: Final = 0x59  # type 9, location 5: subcutaneous tissue
GET_INTERVAL, INTERVAL, RESPONSE_CODE = 0x02, 0x03, 0x1C
OP_UNSUPPORTED: Final = 2
HAS_WARNING: Final = 0x20
MINUTES: Final = 5
RUN_HOURS: Final = 24 * 14
PACKED: Final = 3


def crc(octets: bytes) -> bytes:
    """E2E-CRC by its definition, bit by bit: D^16 + D^12 + D^5 + 1, least significant bit first."""
    register = 0xFFFF
    for octet in octets:
        for bit in range(8):
            mixed = (register ^ octet >> bit) & 1
            register >>= 1
            if mixed:
                register ^= 0b1000_0100_0000_1000
    return u16(register)


def encode(offset: int, mg_dl: Decimal, *, warning: int | None = None, checked: bool) -> bytes:
    """One record."""
    body = u8(0 if warning is None else HAS_WARNING) + sfloat(mg_dl) + u16(offset)
    body += b"" if warning is None else u8(warning)
    record = u8(1 + len(body) + (2 if checked else 0)) + body
    return record + crc(record) if checked else record


class CgmSensor(RecordAccessDevice):
    """A sensor that measures every five minutes of its session.

    started     when the session began; None: nobody has told the device
    is_checked  it puts a CRC behind its values
    """

    def __init__(
        self,
        patient: str,
        started: datetime | None,
        *,
        is_checked: bool = True,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        access: Access | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        security = measured(0x2AA7, "notify", equipment.pairing).security
        reads = [Characteristic(each, ("read",), security) for each in _READABLE]
        super().__init__(
            identity or identity_of(patient, "cgm", "WL-CGM", "Wardlight Lab", "CGM"),
            equipment,
            access or Access(),
            service=SERVICE,
            characteristics=(
                measured(0x2AA7, "notify", equipment.pairing),
                *reads,
                Characteristic(OPERATIONS, ("write", "indicate"), security),
            ),
            needs=(MEASUREMENT,),
            appearance=APPEARANCE,
        )
        self.started = started
        self.is_checked = is_checked
        self.minute = 0
        self.operations: list[bytes] = []
        self._answers: set[asyncio.Task[None]] = set()

    def measure(self, *, warning: int | None = None) -> KeptRecord:
        """Five minutes on: keep a record, and notify it where a link stands."""
        self.minute += MINUTES
        value = Decimal(80 + self.minute * 7 % 160)
        payload = encode(self.minute, value, warning=warning, checked=self.is_checked)
        at = (self.started or self.clock.now()) + timedelta(minutes=self.minute)
        record = KeptRecord(
            self.minute, at, (Notified(MEASUREMENT, payload, {"glucose_cgm": str(value)}),)
        )
        self.memory.append(record)
        if self.link is None:
            self.start_advertising(self.access.advertise)
        elif self.link.is_subscribed(MEASUREMENT):
            self._soon(self._notify(self.link, record.parts[0]))
        return record

    def new_session(self, started: datetime | None) -> None:
        """Another sensor: its minutes begin anew."""
        self.started, self.minute = started, 0
        self.memory.clear()

    async def on_read(self, uuid: str) -> bytes:
        """What the session is."""
        if uuid == FEATURE:
            feature = u24(E2E_CRC if self.is_checked else 0) + u8(INTERSTITIAL)
            return feature + (crc(feature) if self.is_checked else b"\xff\xff")
        if uuid in _READABLE:
            return self._checked(self._session(uuid))
        return await super().on_read(uuid)

    async def on_write(self, uuid: str, value: bytes) -> None:
        """The control point answers what it is asked, and lets nothing be set."""
        if uuid != OPERATIONS:
            await super().on_write(uuid, value)
            return
        self.operations.append(value)
        is_known = value == self._checked(u8(GET_INTERVAL))
        answer = [INTERVAL, MINUTES] if is_known else [RESPONSE_CODE, value[0], OP_UNSUPPORTED]
        if self.link is not None:
            self._soon(self._indicate(self.link, self._checked(bytes(answer))))

    async def _report(self, link: Link, records: list[KeptRecord]) -> None:
        """Several records in each notification."""
        given = [each for each in records if each.number not in self.access.lost]
        self.access.lost.clear()
        for first in range(0, len(given), PACKED):
            packed = given[first : first + PACKED]
            payload = b"".join(each.parts[0].payload for each in packed)
            sent = await link.notify(MEASUREMENT, payload)
            self._enter(MEASUREMENT, payload, sent, NOTIFY, {}, packed[0].measured_at)
            await asyncio.sleep(self.access.every)

    def _session(self, uuid: str) -> bytes:
        if uuid == STATUS:
            return u16(self.minute) + u24(0)
        if uuid == RUN_TIME:
            return u16(RUN_HOURS)
        if self.started is None:
            return bytes(7) + b"\x80\xff"
        quarters = int((self.started.utcoffset() or timedelta(0)).total_seconds()) // 900
        return date_time(self.started) + quarters.to_bytes(1, "little", signed=True) + u8(0)

    def _checked(self, octets: bytes) -> bytes:
        return octets + crc(octets) if self.is_checked else octets

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"answer of {self.address}")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _notify(self, link: Link, part: Notified) -> None:
        try:
            sent = await link.notify(part.uuid, part.payload)
        except LinkLostError:
            return  # it is in the memory
        self._enter(part.uuid, part.payload, sent, NOTIFY, part.values, None)

    async def _indicate(self, link: Link, answer: bytes) -> None:
        try:
            await link.indicate(OPERATIONS, answer)
        except LinkLostError:
            return


_READABLE: Final = (FEATURE, STATUS, START, RUN_TIME)
