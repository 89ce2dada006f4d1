"""A device of any service that sends given values, such as those of a specification or a capture.

Each channel is indicated or notified as its characteristic says. An indication is sent again on
the next link until it was confirmed; a notification is sent once, whether somebody hears it or not.

    PlayedDevice(identity, equipment, Service(...), [("0x2A9C", octets), ...])
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from wardlight_lab.bluez import Characteristic, Link, uuid16
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment, Identity, protection

ADVERTISE_S: Final = 60.0

Value = tuple[str, bytes]
"""Channel ("0x2A9C" or a full UUID) and octets."""

Answer = Callable[[bytes], Iterable[Value]]
"""What the device sends for octets that were written; () for what it does not know."""


@dataclass(frozen=True, slots=True)
class Played:
    """What such a device offers.

    service    16-bit number, or the full UUID
    channels   channel to "indicate" or "notify"
    control    channel that is written; None = the device sends by itself
    answer     what it sends for what is written
    appearance as Assigned Numbers has it
    """

    service: int | str
    channels: dict[str, str]
    control: str | None = None
    answer: Answer = lambda _: ()
    appearance: int = 0


class PlayedDevice(EmulatedDevice):
    """Plays values.

    stays    it keeps the link when everything was sent, as what is worn on the body does
    every_s  distance of two values
    """

    def __init__(
        self,
        identity: Identity,
        equipment: Equipment,
        played: Played,
        *,
        stays: bool = False,
        every_s: float = 0.0,
    ) -> None:
        security = protection(equipment.pairing)
        offered = {full_uuid(channel): how for channel, how in played.channels.items()}
        control = None if played.control is None else full_uuid(played.control)
        flags = {uuid: (how,) for uuid, how in offered.items()}
        if control is not None:
            flags[control] = ("write", *flags.get(control, ()))
        super().__init__(
            identity,
            equipment,
            service=played.service,
            characteristics=tuple(
                Characteristic(uuid, each, security) for uuid, each in flags.items()
            ),
            appearance=played.appearance,
        )
        self._offered = offered
        self._control = control
        self._answer = played.answer
        self._stays = stays
        self._every_s = every_s
        self._stirred = asyncio.Event()
        self.pending: deque[Value] = deque()
        self.requests: list[bytes] = []

    def play(self, values: Iterable[Value]) -> None:
        """Send these next."""
        self.pending.extend((full_uuid(channel), octets) for channel, octets in values)
        self._stirred.set()
        self.start_advertising(None if self._stays else ADVERTISE_S)

    async def on_subscribed(self, link: Link, uuid: str) -> None:
        """Once everything is switched on, send what there is; then hang up, or stay."""
        if not all(link.is_subscribed(each) for each in self._offered):
            return
        while link.is_up:
            self._stirred.clear()
            while self.pending and link.is_up:
                await self._send(link)
                await asyncio.sleep(self._every_s)
            if not self._stays:
                await link.hang_up()
                return
            await self._stirred.wait()

    async def on_write(self, uuid: str, value: bytes) -> None:
        """A request: what it asks for is sent."""
        if uuid != self._control:
            await super().on_write(uuid, value)
            return
        self.requests.append(value)
        self.play(self._answer(value))

    def on_disconnected(self, link: Link) -> None:
        """With something left to send, be there again; what is worn always is.

        A device that is asked forgets what it has not sent: it will be asked again.
        """
        del link
        if self._control is not None:
            self.pending.clear()
        if self._stays or self.pending:
            self.start_advertising(None if self._stays else ADVERTISE_S)

    async def _send(self, link: Link) -> None:
        channel, octets = self.pending[0]
        if self._offered[channel] == "indicate":
            await self.send_indication(link, channel, octets, {})
            self.pending.popleft()
            return
        self.pending.popleft()
        await self.send_notification(link, channel, octets, {})


def full_uuid(channel: str) -> str:
    """The full UUID, as the emulation spells it, of a channel."""
    return uuid16(int(channel, 16)) if channel.startswith("0x") else channel.lower()
