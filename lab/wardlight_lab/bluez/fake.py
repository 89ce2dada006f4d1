"""The fake `org.bluez` as a whole: a private bus, the service on it, adapters and devices.

    async with FakeBluez(adapters=("hci0",)) as bluez:
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bluez.address
        bluez.add(BloodPressureCuff(...))
        ...  # unmodified bleak sees an adapter and a cuff

It serves clients in any process. Emulated devices live in the event loop that entered the context.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from wardlight_lab.bluez.adapter import Adapter
from wardlight_lab.bluez.agents import AgentRegistry
from wardlight_lab.bluez.bonds import BondStore
from wardlight_lab.bluez.bus_service import BusService
from wardlight_lab.bluez.connection import Host
from wardlight_lab.bluez.object_tree import Interface, Properties
from wardlight_lab.bluez.peripheral import Peripheral
from wardlight_lab.bluez.private_bus import PrivateBus
from wardlight_lab.bluez.remote_device import RemoteDevice
from wardlight_lab.bluez.timing import INSTANT, Timing

ROOT: Final = "/org/bluez"

_logger = logging.getLogger(__name__)


class FakeBluez:
    """A BlueZ without a radio.

    adapters      names of the adapters; further ones can be plugged in later
    state_dir     where bonds are kept; None keeps them in memory
    bus_dir       folder of the bus socket (short path); with one, the address outlives a restart
    timing        how long things take (INSTANT for tests, LIFELIKE for the demo)
    threshold_db  RSSI changes below this are not reported: 0 as BlueZ up to 5.87, 8 as later ones
    Errors        DBusDaemonMissingError, BusStartError, EmulationError (unreadable bond file)
    """

    def __init__(
        self,
        adapters: Iterable[str] = ("hci0",),
        *,
        state_dir: Path | None = None,
        bus_dir: Path | None = None,
        timing: Timing = INSTANT,
        threshold_db: int = 0,
    ) -> None:
        self._names = tuple(adapters)
        self._state_dir = state_dir
        self._timing = timing
        self._threshold_db = threshold_db
        self._bus = PrivateBus(bus_dir)
        self._stack = AsyncExitStack()
        self._adapters: dict[str, Adapter] = {}
        self._peripherals: dict[str, Peripheral] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._service: BusService | None = None
        self._host: Host | None = None

    @property
    def address(self) -> str:
        """The value for DBUS_SYSTEM_BUS_ADDRESS."""
        return self._bus.address

    @property
    def bus_pid(self) -> int:
        """The process id of the dbus-daemon."""
        return self._bus.pid

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """The emulated devices in range."""
        return tuple(self._peripherals.values())

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            bonds = BondStore(self._state_dir)
            await stack.enter_async_context(self._bus)
            service = BusService(self._bus.address)
            stack.push_async_callback(service.stop)
            agents = AgentRegistry(service)
            self._host = Host(service.tree, agents, bonds, self._timing)
            self._service = service
            service.tree.export(ROOT, agents.interface())
            stack.push_async_callback(self._stop_all)
            for name in self._names:
                self.plug_in(name)
            await service.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def add(self, peripheral: Peripheral) -> None:
        """Bring an emulated device into range of all adapters and start its own life."""
        self._peripherals[peripheral.address] = peripheral
        for adapter in self._adapters.values():
            adapter.add(peripheral)
        self._lives[peripheral.address] = asyncio.get_running_loop().create_task(
            _supervise(peripheral.run(), peripheral.address), name=f"life of {peripheral.address}"
        )

    async def remove(self, peripheral: Peripheral) -> None:
        """End a device's life and take it out of range; its bonds stay."""
        await _end(self._lives.pop(peripheral.address, None))
        for adapter in self._adapters.values():
            await adapter.remove(peripheral)
        self._peripherals.pop(peripheral.address, None)

    def adapter(self, name: str = "hci0") -> Adapter:
        """An adapter by name; its `faults` script it. Errors: KeyError."""
        return self._adapters[name]

    def device(self, address: str, adapter: str = "hci0") -> RemoteDevice | None:
        """The Device1 object of an address on an adapter, when the adapter knows it."""
        return self._adapters[adapter].device(address)

    def managed_objects(self) -> dict[str, dict[str, Properties]]:
        """What a client sees now: path -> interface -> properties."""
        return {} if self._host is None else self._host.tree.managed_objects()

    def export(self, path: str, interface: Interface) -> None:
        """Show a further object on the bus, such as a control interface of the lab."""
        if self._host is not None:
            self._host.tree.export(path, interface)

    def plug_in(self, name: str) -> Adapter:
        """Add an adapter; its address follows from its number."""
        if self._host is None:
            raise RuntimeError("enter the context before plugging in adapters")
        number = int(name.removeprefix("hci"))
        address = f"02:57:4C:00:00:{number:02X}"
        adapter = Adapter(self._host, name, address, threshold_db=self._threshold_db)
        self._adapters[name] = adapter
        adapter.start()
        for peripheral in self._peripherals.values():
            adapter.add(peripheral)
        if self._service is not None:
            self._service.watch_clients(adapter)
        return adapter

    async def unplug(self, name: str) -> None:
        """Remove an adapter with everything on it; bonds stay."""
        adapter = self._adapters.pop(name)
        if self._service is not None:
            self._service.unwatch_clients(adapter)
        await adapter.stop()

    def reset(self, peripheral: Peripheral) -> None:
        """The device loses its keys, as after a battery change or a factory reset."""
        if self._host is not None:
            self._host.bonds.reset_device(peripheral.address)

    async def _stop_all(self) -> None:
        for address in list(self._lives):
            await _end(self._lives.pop(address))
        for name in list(self._adapters):
            await self.unplug(name)
        self._peripherals.clear()


async def _supervise(life: Coroutine[Any, Any, None], address: str) -> None:
    """A device whose schedule breaks falls silent and is reported; the others go on."""
    try:
        await life
    except Exception:
        _logger.exception("emulated device ended", extra={"device": address})


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
