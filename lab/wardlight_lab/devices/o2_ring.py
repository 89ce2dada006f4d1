"""Viatom ring: it answers what it is asked, in notifications of 20 octets, and stores files."""

import asyncio
from typing import Final

from wardlight_lab.bluez import Characteristic, Link, LinkLostError, Pairing
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment, Identity, identity_of
from wardlight_lab.devices.ledger import NOTIFY
from wardlight_lab.devices.ring_files import RingFiles

SERVICE: Final = "14839ac4-7d7e-415c-9a42-167340cf2339"
WRITE: Final = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
REPLY: Final = "0734594a-a8e7-4b1a-a6b1-cd5243059a57"
APPEARANCE: Final = 0x0C42  # Pulse Oximeter: Wrist Worn
PIECE: Final = 20  # the smallest MTU, less three


class O2Ring(EmulatedDevice):
    """A ring; what it answers is its memory's."""

    def __init__(
        self,
        patient: str,
        memory: RingFiles | None = None,
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
    ) -> None:
        equipment = equipment or Equipment(pairing=Pairing.NONE)
        super().__init__(
            identity or identity_of(patient, "o2 ring", "O2Ring WL", "Viatom", "O2Ring"),
            equipment,
            service=SERVICE,
            characteristics=(
                Characteristic(REPLY, ("notify",)),
                Characteristic(WRITE, ("write",)),
            ),
            appearance=APPEARANCE,
        )
        self.memory = memory or RingFiles(self.clock.now())
        self._answering: set[asyncio.Task[None]] = set()
        self.start_advertising()

    async def on_write(self, uuid: str, value: bytes) -> None:
        """A piece of a request; the answer comes afterwards."""
        if uuid != WRITE:
            await super().on_write(uuid, value)
            return
        self.memory.shown = self.clock.now()
        answer = self.memory.written(value)
        if answer is None or self.link is None:
            return
        task = asyncio.get_running_loop().create_task(
            self._send(self.link, answer), name=f"answer of {self.address}"
        )
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def on_disconnected(self, link: Link) -> None:
        """The open file closes; the ring is there again."""
        super().on_disconnected(link)
        self.memory.disconnected()
        for task in self._answering:
            task.cancel()

    async def _send(self, link: Link, answer: bytes) -> None:
        try:
            for at in range(0, len(answer), PIECE):
                piece = answer[at : at + PIECE]
                done = await link.notify(REPLY, piece)
                self._enter(REPLY, piece, done, NOTIFY, {}, None)
        except LinkLostError:
            return  # it is asked again on the next link
