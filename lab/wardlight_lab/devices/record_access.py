"""Devices that keep their records and give them when asked: Record Access Control Point 0x2A52.

Unlike a cuff such a device sends nothing by itself and forgets nothing. What it knows of the
control point can be narrowed, as real devices do.

Source  Bluetooth Glucose Service 1.0.1, 3.4; CGM Service 1.0.2, 3.9; Pulse Oximeter Service 1.0.1,
        3.5
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wardlight_lab.bluez import AttError, Characteristic, Link, LinkLostError, uuid16
from wardlight_lab.devices.emulated import (
    EmulatedDevice,
    Equipment,
    Identity,
    measured,
)
from wardlight_lab.devices.encoding import u8, u16
from wardlight_lab.devices.ledger import NOTIFY

RACP: Final = uuid16(0x2A52)
IN_PROGRESS: Final = 0xFE  # Procedure Already in Progress (CSS part B, 1.2)
CCCD_IMPROPER: Final = 0xFD

REPORT, DELETE, ABORT, COUNT, COUNT_RESPONSE, RESPONSE = range(1, 7)
ALL, UP_TO, FROM, RANGE, FIRST, LAST = range(1, 7)
SUCCESS, OP_UNSUPPORTED, BAD_OPERATOR, OPERATOR_UNSUPPORTED = range(1, 5)
NO_RECORDS: Final = 6
FILTER: Final = 1


@dataclass(frozen=True, slots=True)
class Notified:
    """One value of a record: characteristic, bytes, and what they say."""

    uuid: str
    payload: bytes
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """One record in the memory: its number, its time, and what is notified of it."""

    number: int
    measured_at: datetime
    parts: tuple[Notified, ...]


@dataclass(slots=True)
class Access:
    """What the control point knows, and how the device behaves.

    measures_every, first_after
                a measurement that often, and the first one, in seconds; None: only when asked to
    counts      it counts records
    operators   operators it knows
    every       seconds between two notifications
    advertise   seconds it advertises after a measurement and after the end of a link
    patience    seconds it waits on a link for a request, the last one included
    lost        record numbers that are not notified the next time
    silent      that many procedures end without their indication
    busy        that many requests are answered with "in progress"
    """

    measures_every: float | None = None
    first_after: float = 0.0
    counts: bool = True
    operators: frozenset[int] = frozenset({ALL, FROM, FIRST, LAST})
    every: float = 0.0
    advertise: float = 60.0
    patience: float = 60.0
    lost: set[int] = field(default_factory=set)
    silent: int = 0
    busy: int = 0


class RecordAccessDevice(EmulatedDevice):
    """Base of devices with a control point; a subclass makes the records.

    needs  characteristics that must be switched on before a request is taken
    """

    def __init__(
        self,
        identity: Identity,
        equipment: Equipment,
        access: Access,
        *,
        service: int,
        characteristics: tuple[Characteristic, ...],
        needs: Iterable[str],
        appearance: int,
    ) -> None:
        point = measured(0x2A52, "indicate", equipment.pairing)
        point = Characteristic(point.uuid, ("write", "indicate"), point.security)
        super().__init__(
            identity,
            equipment,
            service=service,
            characteristics=(*characteristics, point),
            appearance=appearance,
        )
        self.access = access
        self.memory: list[KeptRecord] = []
        self.requests: list[bytes] = []
        self._needs = (*needs, RACP)
        self._procedure: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()

    def measure(self) -> KeptRecord:
        """Take a measurement of now and keep it."""
        raise TypeError(f"{type(self).__name__} does not say how it measures")

    async def run(self) -> None:
        """Measure by schedule."""
        if self.access.measures_every is None:
            return
        await asyncio.sleep(self.access.first_after)
        while True:
            self.measure()
            await asyncio.sleep(self.access.measures_every)

    def store(self, record: KeptRecord) -> None:
        """Keep a record and advertise it."""
        self.memory.append(record)
        self.start_advertising(self.access.advertise)

    async def on_connected(self, link: Link) -> None:
        """Hang up when nobody asks for long."""
        try:
            while True:
                self._asked.clear()
                async with asyncio.timeout(self.access.patience):
                    await self._asked.wait()
        except TimeoutError:
            await link.hang_up()

    async def on_write(self, uuid: str, value: bytes) -> None:
        """A request: taken at once, worked through afterwards."""
        if uuid != RACP:
            await super().on_write(uuid, value)
            return
        link = self.link
        if link is None or not all(link.is_subscribed(each) for each in self._needs):
            raise AttError(CCCD_IMPROPER)
        self._asked.set()
        self.requests.append(value)
        is_running = self._procedure is not None and not self._procedure.done()
        if value[0] == ABORT:
            self._end()
        elif is_running or self.access.busy > 0:
            self.access.busy = max(self.access.busy - 1, 0)
            raise AttError(IN_PROGRESS)
        self._procedure = asyncio.get_running_loop().create_task(
            self._work(link, value), name=f"procedure of {self.address}"
        )

    def on_disconnected(self, link: Link) -> None:
        """What was under way ends; the device is there again."""
        super().on_disconnected(link)
        self._end()
        self.start_advertising(self.access.advertise)

    def _end(self) -> None:
        if self._procedure is not None:
            self._procedure.cancel()
            self._procedure = None

    async def _work(self, link: Link, request: bytes) -> None:
        try:
            answer = await self._answer(link, request)
            if self.access.silent > 0 and request[0] == REPORT:
                self.access.silent -= 1
                return
            await link.indicate(RACP, answer)
        except LinkLostError:
            return  # the rest is asked for on the next link

    async def _answer(self, link: Link, request: bytes) -> bytes:
        op, operator = request[0], request[1]
        if op == ABORT:
            return _response(op, SUCCESS)
        if op not in {REPORT, COUNT} or (op == COUNT and not self.access.counts):
            return _response(op, OP_UNSUPPORTED)
        if operator not in self.access.operators:
            return _response(op, OPERATOR_UNSUPPORTED)
        select = _SELECTIONS.get(operator)
        if select is None:
            return _response(op, BAD_OPERATOR)
        found = select(self.memory, int.from_bytes(request[3:5], "little"))
        if op == COUNT:
            return bytes([COUNT_RESPONSE, 0]) + u16(len(found))
        await self._report(link, found)
        return _response(op, SUCCESS if found else NO_RECORDS)

    async def _report(self, link: Link, records: list[KeptRecord]) -> None:
        for record in records:
            if record.number in self.access.lost:
                self.access.lost.discard(record.number)
                continue
            for part in record.parts:
                sent = await link.notify(part.uuid, part.payload)
                self._enter(part.uuid, part.payload, sent, NOTIFY, part.values, record.measured_at)
            await asyncio.sleep(self.access.every)


def _response(op: int, code: int) -> bytes:
    return bytes([RESPONSE, 0]) + u8(op) + u8(code)


_Selection = Callable[[list[KeptRecord], int], list[KeptRecord]]
_SELECTIONS: Final[dict[int, _Selection]] = {
    ALL: lambda memory, _: list(memory),
    FROM: lambda memory, number: [each for each in memory if each.number >= number],
    FIRST: lambda memory, _: memory[:1],
    LAST: lambda memory, _: memory[-1:],
}
