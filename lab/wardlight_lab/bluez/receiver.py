"""The receiver of an adapter: hears each peripheral that advertises, at its own interval."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from wardlight_lab.bluez.peripheral import Peripheral

IDLE_S: Final = 5.0  # a look around even when no peripheral has announced a change


class Receiver:
    """Calls `report` for every advertisement while it is on."""

    def __init__(self, name: str, report: Callable[[Peripheral], None], hearing_s: float) -> None:
        self._name = name
        self._report = report
        self._hearing_s = hearing_s
        self._peripherals: dict[str, tuple[Peripheral, Callable[[], None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def is_on(self) -> bool:
        """Whether it listens."""
        return self._task is not None

    def add(self, peripheral: Peripheral) -> None:
        """Bring a peripheral into range."""
        self.remove(peripheral)
        self._peripherals[peripheral.address] = (peripheral, peripheral.listen(self._wake.set))
        self._wake.set()

    def remove(self, peripheral: Peripheral) -> None:
        """Take a peripheral out of range."""
        _, stop = self._peripherals.pop(peripheral.address, (None, None))
        if stop is not None:
            stop()

    def find(self, address: str) -> Peripheral | None:
        """The peripheral in range with this address."""
        found, _ = self._peripherals.get(address, (None, None))
        return found

    def switch_on(self) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._listen(), name=f"receiver of {self._name}")

    def switch_off(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """Stop listening for good."""
        self.switch_off()
        for _, stop in self._peripherals.values():
            stop()
        self._peripherals.clear()

    async def _listen(self) -> None:
        due: dict[str, float] = {}
        await asyncio.sleep(self._hearing_s)
        while True:
            self._wake.clear()
            for peripheral, _ in list(self._peripherals.values()):
                self._listen_to(peripheral, due)
            pause = min(due.values(), default=time.monotonic() + IDLE_S) - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0.001)):
                    await self._wake.wait()

    def _listen_to(self, peripheral: Peripheral, due: dict[str, float]) -> None:
        now = time.monotonic()
        if not peripheral.is_connectable:
            due.pop(peripheral.address, None)
        elif due.get(peripheral.address, 0.0) <= now:
            due[peripheral.address] = now + peripheral.advertisement.interval_s
            self._report(peripheral)
