"""What changes about the adapters, as status records of the gateway."""

import asyncio

from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.records import Data, status_record
from wardlight_edge.transports.base import RadioState
from wardlight_shared.errors import StorageError


class RadioNews:
    """Takes the states of adapters; a change worth a record is one of reason or power cycles."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._said: dict[str, Data] = {}
        self._waiting: dict[str, Data] = {}
        self._filled = asyncio.Event()

    def put(self, state: RadioState) -> None:
        """Note a state; never blocks."""
        data: Data = {
            "adapter": state.adapter,
            "reason": None if state.reason is None else state.reason[:256],
            "power_cycles": state.power_cycles,
        }
        if self._said.get(state.adapter) != data:
            self._said[state.adapter] = data
            self._waiting[state.adapter] = data
            self._filled.set()

    async def run(self) -> None:
        """Append records until cancelled."""
        clock = self._gateway.clock
        while True:
            await self._filled.wait()
            self._filled.clear()
            news, self._waiting = self._waiting, {}
            moment = clock.mono_ms(), clock.wall_ms()
            records = [status_record(None, "radio", data, *moment) for data in news.values()]
            try:
                await self._gateway.outbox.append(records)
            except StorageError:
                # The newest state is worth more than the history: try again with what is true then.
                self._waiting = news | self._waiting
                self._filled.set()
                await asyncio.sleep(self._gateway.retry_s)
