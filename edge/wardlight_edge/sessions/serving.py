"""One device of a gateway while it is run: its session and its transport, together to the end."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from wardlight_edge import devices
from wardlight_edge.clock import Clock
from wardlight_edge.config import DeviceSettings, Settings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.advertising import is_advertising
from wardlight_edge.sessions.bluetooth import Bluetooth
from wardlight_edge.sessions.board import DeviceBoard
from wardlight_edge.sessions.fitting import check_files
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.session import Session
from wardlight_edge.sessions.ways import advertised, connected, wired
from wardlight_edge.transports.base import Transport
from wardlight_edge.transports.switched_off import SwitchedOff
from wardlight_shared.profile import Profile

if TYPE_CHECKING:
    from wardlight_edge.sessions.advert_session import AdvertSession

STOP_S = 20.0  # BlueZ takes 3 s for a disconnect, a busy disk its time for the last block


class Serving:
    """Begins devices, and keeps what a session that has ended could not store for the next one."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        board: DeviceBoard,
        bluetooth: Bluetooth,
        clock: Clock,
    ) -> None:
        self._data_dir = settings.data_dir
        self._gateway = gateway
        self._board = board
        self._bluetooth = bluetooth
        self._clock = clock
        self._transports: dict[str, Transport] = {}
        self._left: dict[str, list[NewRecord]] = {}

    def transport(self, identity: str) -> Transport | None:
        """What brings the octets of a device; None = it is not run, or answers by itself."""
        return self._transports.get(identity)

    async def forget(self, identity: str) -> None:
        """A device is run no more: what it left is stored. StorageError: the outbox refuses it."""
        self._transports.pop(identity, None)
        if self._left.get(identity):
            await self._gateway.outbox.append(self._left[identity])
        self._left.pop(identity, None)

    async def serve(
        self,
        device: DeviceSettings,
        profile: Profile,
        *,
        has_all: Callable[[], None],
        is_unknown: Callable[[], bool],
    ) -> None:
        """One device until cancelled; raises what a fault raises.

        has_all     told that nothing it needs is lacking
        is_unknown  whether its serial number is not bound yet
        PrivateFileError: a file of its own cannot be used; until it can, nothing is begun.
        """
        check_files(device)
        if device.port is not None and devices.is_conversing(profile.decoder):
            from wardlight_edge.sessions.serial_line import ConversingLine

            entry = self._board.entry(device.identity)
            line = ConversingLine(device, profile, self._gateway, entry, self._data_dir)
            has_all()
            await line.run()
            return
        has_all()
        session, transport = self._begin(device, profile, is_unknown)
        self._transports[device.identity] = transport
        try:
            await _together(session, transport, device.identity)
        finally:
            self._left[device.identity] = session.left

    def _begin(
        self, device: DeviceSettings, profile: Profile, is_unknown: Callable[[], bool]
    ) -> tuple["Session | AdvertSession", Transport]:
        identity, stack = device.identity, self._bluetooth.stack
        entry, left = self._board.entry(identity), self._left.get(identity, ())
        if is_advertising(device, profile):
            from wardlight_edge.sessions.advert_session import AdvertSession

            listener = AdvertSession(device, profile, self._gateway, entry, left)
            if stack is None:
                return listener, SwitchedOff(self._clock)
            return listener, advertised(identity, listener, stack, self._clock)
        session = Session(device, profile, self._gateway, entry, left)
        if not identity.startswith("ble:"):
            return session, wired(device, profile, self._clock, self._data_dir)
        if stack is None:
            return session, SwitchedOff(self._clock)
        way = connected(device, profile, session, stack, self._clock, is_unknown=is_unknown)
        return session, way


async def _together(
    session: "Session | AdvertSession", transport: Transport, identity: str
) -> None:
    """Until one fails or we are cancelled: first no more is brought, then all is taken in."""
    consumer = asyncio.create_task(session.run(transport), name=f"session {identity}")
    bringer = asyncio.create_task(transport.run(session.inbox), name=f"transport {identity}")
    try:
        await asyncio.wait({consumer, bringer}, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        bringer.cancel()
        await asyncio.wait({bringer})
        session.inbox.close()
        await asyncio.wait({consumer}, timeout=STOP_S)
        consumer.cancel()
        await asyncio.wait({consumer})
    for task in (consumer, bringer):
        if not task.cancelled():
            task.result()
