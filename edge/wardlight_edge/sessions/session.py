"""One device's session: what its transport brings becomes records in the outbox.

    arrival -> inbox -> what becomes of it: records (recorder.py) -> append (returns after COMMIT)
            -> tell the device's dialogue, which may bring more -> tell the transport

One consumer, in order of arrival. Octets that cannot be decoded go to quarantine and the session
goes on; only a bug ends it.
"""

from collections.abc import Sequence
from functools import partial

from wardlight_edge.config import DeviceSettings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.acceptance import Acceptance
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.device_clock import DeviceClockKeeper
from wardlight_edge.sessions.dialogue import dialogue_of
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Inbox
from wardlight_edge.sessions.outgoing import Outgoing
from wardlight_edge.sessions.recorder import Recorder
from wardlight_edge.transports.base import Arrival, Octets, Transport, Unreadable
from wardlight_shared.profile import Profile

TICK_S = 1.0


class Session:
    """Consumes the arrivals of one device; ``inbox`` is where its transport puts them.

    handed_on  what the session before it could not have accepted: its ``left``
    """

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        handed_on: Sequence[NewRecord] = (),
    ) -> None:
        acceptance = Acceptance(gateway, entry)
        self.inbox = Inbox(acceptance.is_full)
        self.device_clock = DeviceClockKeeper(gateway.clock, gateway.is_clock_trusted)
        self._outgoing = Outgoing(device.identity, acceptance, handed_on)
        self._recorder = Recorder(
            device, profile, gateway, entry, self.device_clock, self._outgoing
        )
        self._dialogue_over = partial(dialogue_of, device, profile, gateway.shelf)
        self._token: int | None = None

    async def run(self, transport: Transport) -> None:
        """Consume until the inbox is closed and empty; then all of it is in the outbox."""
        self._recorder.ask_in(self._dialogue_over(transport))
        while not self.inbox.is_done:
            for arrival in await self.inbox.take(self._wait_s()):
                self._note_token(arrival)
                self._recorder.take(arrival)
            self._recorder.tick()
            await self._accept(transport)
        await self._recorder.end()
        await self._accept(transport)

    @property
    def left(self) -> list[NewRecord]:
        """After a fault: what the next session is to have accepted."""
        return self._outgoing.left()

    def _wait_s(self) -> float | None:
        """How long nothing can happen by itself; None = until something arrives."""
        if self._outgoing:
            return 0.0
        return TICK_S if self._recorder.is_ticking else None

    def _note_token(self, arrival: Arrival) -> None:
        if isinstance(arrival, Octets | Unreadable) and arrival.token is not None:
            self._token = arrival.token

    async def _accept(self, transport: Transport) -> None:
        """Append what was made; return when it is committed, and the transport was told."""
        lost = self.inbox.take_lost()
        if lost is not None:
            self._recorder.lost(lost)
        await self._commit()
        await self._recorder.accepted()
        if self._token is not None and self._recorder.is_all_recorded:
            transport.accepted(self._token)
            self._token = None

    async def _commit(self) -> None:
        """Append until nothing is left, also of what comes when that is told."""
        while True:
            while self._outgoing:
                await self._outgoing.commit()
                self._recorder.show()
            await self._recorder.committed()
            if not self._outgoing:
                return
