"""What changes beside the sessions: of adapters, and of devices at an operator's word."""

import asyncio

from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.records import Data, status_record
from wardlight_edge.transports.base import RadioState
from wardlight_shared.errors import StorageError

_Subject = tuple[str | None, str, str]  # device, name of the status, and what of it


class RadioNews:
    """Takes states; what is told twice is no news."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._said: dict[_Subject, Data] = {}
        self._waiting: dict[_Subject, Data] = {}
        self._filled = asyncio.Event()

    def put(self, state: RadioState) -> None:
        """Note an adapter's state: a change of reason or power cycles is news. Never blocks."""
        data: Data = {
            "adapter": state.adapter,
            "reason": None if state.reason is None else state.reason[:256],
            "power_cycles": state.power_cycles,
        }
        self._put((None, "radio", state.adapter), data)

    def put_device(self, device: str, name: str, data: Data) -> None:
        """Note a status of a device that its session knows nothing of. Never blocks."""
        self._put((device, name, ""), data)

    def _put(self, subject: _Subject, data: Data) -> None:
        if self._said.get(subject) != data:
            self._said[subject] = data
            self._waiting[subject] = data
            self._filled.set()

    async def run(self) -> None:
        """Append records until cancelled."""
        clock = self._gateway.clock
        while True:
            await self._filled.wait()
            self._filled.clear()
            news, self._waiting = self._waiting, {}
            moment = clock.mono_ms(), clock.wall_ms()
            records = [
                status_record(device, name, data, *moment)
                for (device, name, _), data in news.items()
            ]
            try:
                await self._gateway.outbox.append(records)
            except StorageError:
                # The newest state is worth more than the history: try again with what is true then.
                self._waiting = news | self._waiting
                self._filled.set()
                await asyncio.sleep(self._gateway.retry_s)
