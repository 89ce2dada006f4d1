"""Omron cuff with its memory behind a lock: it sends nothing unless it is asked."""

import asyncio
from datetime import datetime
from typing import Final

from wardlight_lab.bluez import Characteristic, Link, LinkLostError
from wardlight_lab.devices.emulated import (
    EmulatedDevice,
    Equipment,
    Identity,
    identity_of,
    protection,
)
from wardlight_lab.devices.ledger import NOTIFY
from wardlight_lab.devices.omron_memory import (
    CHANNELS,
    COMMANDS,
    HEM_7322T,
    LOCK,
    CuffMemory,
    Sent,
)

SERVICE: Final = "ecbe3980-c9a2-11e1-b1bd-0002a5d5c51b"
APPEARANCE: Final = 0x0381  # Blood Pressure: Arm
ADVERTISE_S: Final = 60.0


class OmronCuff(EmulatedDevice):
    """A cuff; what it answers is its memory's."""

    def __init__(
        self,
        patient: str,
        memory: CuffMemory | None = None,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
    ) -> None:
        equipment = equipment or Equipment()
        security = protection(equipment.pairing)
        super().__init__(
            identity or identity_of(patient, "omron", "BLEsmart_WL", "OMRON", "HEM-7322T"),
            equipment,
            service=SERVICE,
            characteristics=(
                *(Characteristic(uuid, ("notify",), security) for uuid in CHANNELS),
                Characteristic(LOCK, ("write", "notify"), security),
                Characteristic(COMMANDS, ("write",), security),
            ),
            appearance=APPEARANCE,
        )
        self.memory = memory or CuffMemory(HEM_7322T)
        self._answering: set[asyncio.Task[None]] = set()

    def measure(self, user: int, at: datetime, systolic: int = 120) -> bytes:
        """Keep a measurement of a user, from 0, and advertise; return its slot."""
        record = self.memory.store(user, systolic, 80, 64, at)
        self.start_advertising(ADVERTISE_S)
        return record

    async def on_write(self, uuid: str, value: bytes) -> None:
        """The lock and the commands; the answer comes afterwards."""
        self.memory.show(self.clock.now())
        if uuid == LOCK:
            self._answer(self.memory.written_to_lock(value))
        elif uuid == COMMANDS:
            self._answer(self.memory.commanded(value))
        else:
            await super().on_write(uuid, value)

    def on_disconnected(self, link: Link) -> None:
        """The lock closes; the cuff is there again."""
        super().on_disconnected(link)
        self.memory.disconnected()
        for task in self._answering:
            task.cancel()
        self.start_advertising(ADVERTISE_S)

    def _answer(self, sent: list[Sent]) -> None:
        if self.link is None:
            return
        task = asyncio.get_running_loop().create_task(
            self._send(self.link, sent), name=f"answer of {self.address}"
        )
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _send(self, link: Link, sent: list[Sent]) -> None:
        try:
            for uuid, octets in sent:
                done = await link.notify(uuid, octets)
                self._enter(uuid, octets, done, NOTIFY, {}, None)
        except LinkLostError:
            return  # it is asked again on the next link
