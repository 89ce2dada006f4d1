"""Devices that stay connected and notify at a steady rate while somebody listens."""

import asyncio
from typing import Final

from wardlight_lab.bluez import Characteristic, Link
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment, Identity

PERIOD_S: Final = 1.0


class StreamingDevice(EmulatedDevice):
    """Base of the devices that stream; a subclass gives the next value.

    measurement  the full UUID of the characteristic that is notified
    speed        how much faster than real time it runs
    """

    def __init__(
        self,
        identity: Identity,
        equipment: Equipment,
        *,
        service: int,
        characteristics: tuple[Characteristic, ...],
        appearance: int,
        measurement: str,
        speed: float = 1.0,
    ) -> None:
        super().__init__(
            identity,
            equipment,
            service=service,
            characteristics=characteristics,
            appearance=appearance,
        )
        self.measurement = measurement
        self.speed = speed
        self._turn = 0

    def next_value(self) -> tuple[bytes, dict[str, str]] | None:
        """The next notification and what it says; None at the end of what there is to play."""
        raise TypeError(f"{type(self).__name__} does not say what it sends")

    async def run(self) -> None:
        """Advertise as long as the device is worn."""
        self.start_advertising()

    async def on_subscribed(self, link: Link, uuid: str) -> None:
        """Send one value each period until the link ends, nobody listens, or all is played."""
        if uuid != self.measurement:
            return
        loop = asyncio.get_running_loop()
        due = loop.time()
        self._turn += 1  # a second subscription takes over from the first
        turn = self._turn
        while link.is_up and link.is_subscribed(uuid) and turn == self._turn:
            value = self.next_value()
            if value is None:
                return
            payload, values = value
            await self.send_notification(link, uuid, payload, values)
            due = max(due + PERIOD_S / self.speed, loop.time() - PERIOD_S)
            await asyncio.sleep(due - loop.time())
