"""Making faults happen in a world. What lasts ends by itself, in the background, or at ``end``."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Final

from wardlight_lab.chaos.daemon import NAME as DAEMON
from wardlight_lab.chaos.faults import Fault
from wardlight_lab.chaos.world import World

_UP_AGAIN_S: Final = 60.0
_TOLD_S: Final = 60.0
_POLL_S: Final = 1.0
_SLOW_BYTES_A_SECOND: Final = 4000.0


class Striker:
    """Strikes; a target whose last fault still lasts is struck when that is over."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lasting: dict[str, asyncio.Task[None]] = {}

    async def strike(self, fault: Fault) -> None:
        """Wait and strike. A process that is down already is struck when it is up again."""
        await asyncio.sleep(fault.wait_s)
        if fault.kind == "damage" and await self._until_told():
            self._world.damage_next(fault.wait_s)
        if fault.kind in {"kill", "damage"}:
            await self._signal(fault.target, signal.SIGKILL)
            if fault.target == DAEMON:
                self._world.daemon.kills_ms.append(time.time() * 1000)
            return
        before = self._lasting.pop(fault.target, None)
        if before is not None:
            await asyncio.wait({before})
        end = await self._begin(fault)
        self._lasting[fault.target] = asyncio.create_task(
            _after(fault.duration_s, end), name=f"end of {fault.name}"
        )

    async def end(self) -> None:
        """Wait for the end of what lasts."""
        if self._lasting:
            await asyncio.wait(self._lasting.values())

    async def _until_told(self) -> bool:
        """Wait until the store knows what the last damage did; False when it takes too long.

        A file that is destroyed while it holds what was saved from the one before takes along the
        only names of those records: that is one more damage than the gateway promises to survive.
        """
        for _ in range(int(_TOLD_S / _POLL_S)):
            if await self._world.is_told():
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _begin(self, fault: Fault) -> Callable[[], object]:
        """Begin a fault that lasts; returns what ends it."""
        if fault.kind == "freeze":
            await self._signal(fault.target, signal.SIGSTOP)
            return lambda: self._world.supervisor.kill(fault.target, signal.SIGCONT)
        link = self._world.links[fault.target]
        match fault.kind:
            case "cut":
                link.cut()
            case "stall":
                link.stall(up=True, down=True)
            case "mute":
                link.stall(up=True, down=False)
            case "deaf":
                link.stall(up=False, down=True)
            case "slow":
                link.slow(_SLOW_BYTES_A_SECOND)
        return link.mend

    async def _signal(self, target: str, number: signal.Signals) -> None:
        async with asyncio.timeout(_UP_AGAIN_S):
            while self._world.supervisor.kill(target, number) is None:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.05)


async def _after(duration_s: float, end: Callable[[], object]) -> None:
    try:
        await asyncio.sleep(duration_s)
    finally:
        end()
