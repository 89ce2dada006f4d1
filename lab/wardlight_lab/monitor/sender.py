"""Sends messages to a gateway and waits for each acknowledgement, as a monitor must.

A message that is not accepted (AA) is sent again, unchanged, over a new connection: nothing is
counted as delivered that the gateway did not say it has.
"""

import asyncio
from datetime import UTC, datetime
from typing import Final

from wardlight_lab.bluez import Transmission
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.monitor.message import Vitals, framed, oru

HL7: Final = "hl7"
ANSWER_S: Final = 20.0
AGAIN_S: Final = 1.0
CUFF_EVERY: Final = 12
"""The cuff is inflated once in so many messages."""


class MonitorSender:
    """One monitor at one bed."""

    def __init__(
        self, host: str, port: int, patient: PatientVitals, patient_id: str, ledger: Ledger
    ) -> None:
        self._place = (host, port)
        self._patient = patient
        self._patient_id = patient_id
        self._ledger = ledger
        self._count = 0

    async def run(self, every_s: float) -> None:
        """Send until cancelled."""
        while True:
            at = datetime.now(UTC).replace(microsecond=0)
            vitals = Vitals.of(self._patient, at, with_cuff=self._count % CUFF_EVERY == 0)
            message = oru(vitals, self._patient_id, at, f"{at:%Y%m%d%H%M%S}{self._count:06}")
            self._count += 1
            await self._deliver(message)
            sent = Transmission(delivered=True)
            self._ledger.record(HL7, HL7, message, sent, kind=HL7, values=vitals.named())
            await asyncio.sleep(every_s)

    async def _deliver(self, message: bytes) -> None:
        """Send one message until the gateway has accepted it."""
        while not await self._is_accepted(message):  # noqa: ASYNC110 - a gateway may be away
            await asyncio.sleep(AGAIN_S)

    async def _is_accepted(self, message: bytes) -> bool:
        """Send one message; True when the gateway has accepted it."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(*self._place)
                try:
                    writer.write(framed(message))
                    answer = await reader.readuntil(b"\x1c")
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return False
        return b"\rMSA|AA|" in answer
