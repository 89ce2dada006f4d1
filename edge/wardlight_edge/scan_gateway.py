"""The proxies that the running gateway holds, as radios of a scan: it tells what they hear.

Errors  none: where the gateway cannot be asked, ``troubles`` says why, and the scan goes on
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

from wardlight_edge.scan_proxies import Sighted
from wardlight_edge.transports.overheard import MOST_TOLD, Overheard
from wardlight_shared.errors import ConfigError, TransportError

ASK_S: Final = 1.0
_STOP_S: Final = 5.0

Ask = Callable[[int | None], Overheard]
"""Asks the gateway what was heard since; blocks. TransportError, ConfigError: it does not say."""


class GatewayProxies:
    """Proxies of a gateway that is asked each second.

    names  the radios that are wanted, of those that it holds
    first  what it said to the question that began the listening
    """

    def __init__(self, ask: Ask, names: Collection[str], first: Overheard) -> None:
        self._ask = ask
        self._names = names
        self._reasons: dict[str, str | None] = {}
        self._newest = first.newest
        self._trouble: str | None = None
        self._note(first)

    @asynccontextmanager
    async def listening(self, sighted: Sighted) -> AsyncIterator[None]:
        """Ask while the context lasts."""
        task = asyncio.create_task(self._run(sighted), name="asking the gateway")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=_STOP_S)

    @property
    def radios(self) -> tuple[str, ...]:
        """Those that serve the gateway."""
        if self._trouble is not None:
            return ()
        return tuple(name for name, reason in self._reasons.items() if reason is None)

    @property
    def is_settled(self) -> bool:
        """The gateway has connected to them, or says why not."""
        return True

    @property
    def is_deaf(self) -> bool:
        """Whether none serves."""
        return not self.radios

    def troubles(self) -> tuple[str, ...]:
        """Why the gateway does not say, or why proxies do not serve it."""
        if self._trouble is not None:
            return (self._trouble,)
        return tuple(reason for reason in self._reasons.values() if reason is not None)

    async def _run(self, sighted: Sighted) -> None:
        while True:
            told = await self._asked()
            for each in told.sightings if told is not None else ():
                if each.radio in self._names:
                    sighted(each.sighting, each.radio)
            if told is None or len(told.sightings) < MOST_TOLD:
                await asyncio.sleep(ASK_S)

    async def _asked(self) -> Overheard | None:
        try:
            told = await asyncio.to_thread(self._ask, self._newest)
        except (TransportError, ConfigError) as error:
            self._trouble = f"the gateway that holds {', '.join(self._names)}: {error}"
            return None
        self._trouble = None
        self._newest = told.newest
        self._note(told)
        return told

    def _note(self, told: Overheard) -> None:
        self._reasons = {
            name: reason for name, reason in told.proxies.items() if name in self._names
        }


class HeldProxies:
    """Proxies of a gateway that may not be asked; ``why`` says so, and what to do."""

    radios: tuple[str, ...] = ()
    is_settled = True
    is_deaf = True

    def __init__(self, why: str) -> None:
        self._why = why

    @asynccontextmanager
    async def listening(self, sighted: Sighted) -> AsyncIterator[None]:
        """Nothing is heard."""
        del sighted
        yield

    def troubles(self) -> tuple[str, ...]:
        """Why not."""
        return (self._why,)
