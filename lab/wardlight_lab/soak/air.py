"""The way from an emulated device to a session without a radio: at once, in the same loop.

It keeps the rules of ``transports.base``: CONNECTED before the first octets, the end of each link
said, moments that never go back. What a session asks is done by the device itself.
"""

import asyncio
from itertools import count
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.transports.adverts import short_uuid
from wardlight_edge.transports.base import (
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Receiver,
    Refused,
    Request,
    Written,
)
from wardlight_lab.bluez import AttError, Peripheral, Transmission
from wardlight_lab.devices.played_device import full_uuid

LEAVE_S: Final = 60.0  # of real time: a dialogue takes milliseconds


class Air:
    """Implements Transport and Speaking, and for the device ``wardlight_lab.bluez.Link``."""

    is_encrypted = True

    def __init__(self, clock: Clock, device: Peripheral | None = None) -> None:
        self._clock = clock
        self._device = device
        self._receiver: Receiver | None = None
        self._requests: asyncio.Queue[Request] = asyncio.Queue(64)
        self._left = asyncio.Event()
        self._numbers = count(1)
        self._number = 0
        self._is_up = False
        self.losses = 0

    async def run(self, receiver: Receiver) -> None:
        """Do what the session asks, until cancelled."""
        self._receiver = receiver
        while True:
            await self._do(await self._requests.get())

    def accepted(self, token: int) -> None:
        """Nothing is played again."""

    def ask(self, link: int, request: Request) -> None:
        """The session wants something of the device."""
        if link == self._number and self._is_up:
            self._requests.put_nowait(request)

    def leave(self, link: int, rest_s: float) -> None:
        """The session has what it wants."""
        del rest_s
        if link == self._number:
            self._left.set()

    # -- the device's side

    @property
    def is_up(self) -> bool:
        """Whether the link stands."""
        return self._is_up

    def is_subscribed(self, uuid: str) -> bool:
        """Everything is switched on."""
        del uuid
        return self._is_up

    async def notify(self, uuid: str, value: bytes) -> Transmission:
        """A value for the session."""
        self.send(short_uuid(uuid), value)
        return Transmission(acknowledged=True, delivered=True)

    async def indicate(self, uuid: str, value: bytes) -> Transmission:
        """A value for the session, confirmed at once."""
        return await self.notify(uuid, value)

    async def hang_up(self) -> None:
        """The device ends the link."""
        self.disconnect(LinkState.WAITING)

    # -- what happens on a link

    def connect(self) -> None:
        """The link comes up; nothing is read on it yet."""
        self._number = next(self._numbers)
        self._is_up = True
        self._left.clear()
        if self._device is not None:
            self._device.link_changed(self)
        self._offer(LinkChange(LinkState.CONNECTED, self._clock.mono_ms()))

    async def read(self, channels: tuple[str, ...]) -> None:
        """Read what the device offers of these, then say that this is done."""
        absent = set()
        for channel in channels:
            octets = await self._read(channel)
            if octets is None:
                absent.add(channel)
            else:
                self.send(channel, octets, is_read=True)
        self._offer(ReadsDone(self._clock.mono_ms(), frozenset(absent), self._number))

    async def until_left(self) -> None:
        """Return when the session has what it wants. Errors: TimeoutError."""
        async with asyncio.timeout(LEAVE_S):
            await self._left.wait()

    def send(self, channel: str, octets: bytes, *, is_read: bool = False) -> None:
        """Octets arrive now. Errors: OverflowError when the session does not keep up."""
        mono_ms, wall_ms = self._clock.mono_ms(), self._clock.wall_ms()
        self._offer(Octets(channel, octets, mono_ms, wall_ms, is_read))

    def disconnect(self, state: LinkState) -> None:
        """The link is over."""
        self._is_up = False
        self.losses += 1
        if self._device is not None:
            self._device.link_changed(None)
            self._device.on_disconnected(self)
        self._offer(LinkChange(state, self._clock.mono_ms()))

    def _offer(self, arrival: LinkChange | Octets | ReadsDone | Written | Refused) -> None:
        if self._receiver is None:
            raise RuntimeError("nobody runs this transport")
        if not self._receiver.offer(arrival):
            raise OverflowError("the session does not keep up")

    async def _read(self, channel: str) -> bytes | None:
        if self._device is None:
            return None
        try:
            return await self._device.on_read(full_uuid(channel))
        except (AttError, KeyError):
            return None

    async def _do(self, request: Request) -> None:
        if self._device is None:
            return
        channel, moment = request.channel, self._clock.mono_ms()
        if request.octets is None:
            octets = await self._read(channel)
            if octets is not None:
                self.send(channel, octets, is_read=True)
                return
        else:
            try:
                await self._device.on_write(full_uuid(channel), request.octets)
            except AttError as error:
                self._offer(Refused(channel, str(error), moment, error.code))
            else:
                self._offer(Written(channel, moment))
            return
        self._offer(Refused(channel, "the device lacks it", moment))
