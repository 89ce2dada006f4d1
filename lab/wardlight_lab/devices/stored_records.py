"""Devices that measure by themselves, keep the record, advertise for a while, and hang up.

Blood pressure cuffs, thermometers, scales and finger oximeters for spot checks are of this kind. A
record leaves the memory only when its indication was confirmed.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wardlight_lab.bluez import Characteristic, Link
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment, Identity

MEMORY: Final = 100  # records kept, the oldest is dropped; household cuffs keep 30 to 200


@dataclass(frozen=True, slots=True)
class Record:
    """One stored measurement: device time, its bytes, and what they say."""

    measured_at: datetime
    payload: bytes
    values: dict[str, str]


@dataclass(slots=True)
class Habit:
    """How such a device behaves around a measurement, in seconds.

    every             a measurement that often; None: only when `measure` is called
    first_after       the first scheduled measurement
    advertise         how long it advertises after a measurement, and after a lost link
    linger            how long it stays connected after the last record
    patience          how long it waits on a link for somebody to switch indications on
    waits_for_cccd    whether it sends only after a CCCD write on this link; a device that does not
                      sends as soon as the link of its bond is encrypted
    needs_clock       whether it sends nothing until its clock was set, once for its life (A&D)
    """

    every: float | None = None
    first_after: float = 0.0
    advertise: float = 30.0
    linger: float = 0.5
    patience: float = 30.0
    waits_for_cccd: bool = True
    needs_clock: bool = False


class StoredRecordDevice(EmulatedDevice):
    """Base of the devices that store and indicate; a subclass says how one record is made.

    measurement  the full UUID of the characteristic that is indicated
    """

    def __init__(
        self,
        identity: Identity,
        equipment: Equipment,
        habit: Habit,
        *,
        service: int,
        characteristics: tuple[Characteristic, ...],
        appearance: int,
        measurement: str,
    ) -> None:
        super().__init__(
            identity,
            equipment,
            service=service,
            characteristics=characteristics,
            appearance=appearance,
        )
        self.habit = habit
        self.measurement = measurement
        self.pending: deque[Record] = deque(maxlen=MEMORY)
        self._sending = asyncio.Lock()
        self._clock_is_set = asyncio.Event()
        if not self.habit.needs_clock:
            self._clock_is_set.set()

    def take_record(self, at: datetime) -> Record:
        """A record of the patient's vital signs at this device time."""
        raise TypeError(f"{type(self).__name__} does not say how it measures")

    def measure(self, at: datetime | None = None) -> Record:
        """Take a measurement, store it and advertise it."""
        record = self.take_record(self.clock.now() if at is None else at)
        self.store(record)
        return record

    def store(self, record: Record) -> None:
        """Keep a record and advertise it."""
        self.pending.append(record)
        self.start_advertising(self.habit.advertise)

    async def run(self) -> None:
        """Measure by schedule."""
        if self.habit.every is None:
            return
        await asyncio.sleep(self.habit.first_after)
        while True:
            self.measure()
            await asyncio.sleep(self.habit.every)

    async def on_connected(self, link: Link) -> None:
        """Send at once where the CCCD is remembered; hang up when nobody wants the records."""
        if not self.habit.waits_for_cccd and link.is_subscribed(self.measurement):
            await self._send_all(link)
        await asyncio.sleep(self.habit.patience)
        if not link.is_subscribed(self.measurement):
            await link.hang_up()

    async def on_write(self, uuid: str, value: bytes) -> None:
        """A clock that is set lets it send."""
        await super().on_write(uuid, value)
        self._clock_is_set.set()

    async def on_subscribed(self, link: Link, uuid: str) -> None:
        """Send what is stored, then hang up."""
        if uuid == self.measurement:
            await self._send_all(link)

    def on_disconnected(self, link: Link) -> None:
        """With records left, be there again."""
        del link
        if self.pending:
            self.start_advertising(self.habit.advertise)
        else:
            self.stop_advertising()

    async def _send_all(self, link: Link) -> None:
        await self._clock_is_set.wait()
        while True:
            async with self._sending:
                await self._send_pending(link)
            await asyncio.sleep(self.habit.linger)
            if not self.pending:
                break
        await link.hang_up()

    async def _send_pending(self, link: Link) -> None:
        while self.pending:
            record = self.pending[0]
            await self.send_indication(
                link, self.measurement, record.payload, record.values, record.measured_at
            )
            if self.pending[0] is record:  # a full memory may have dropped it meanwhile
                self.pending.popleft()
