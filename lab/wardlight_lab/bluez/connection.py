"""Making and ending the link to one device, and resolving its services.

Source  BlueZ src/device.c (order of signals, error texts)
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from dbus_fast import Variant

from wardlight_lab.bluez.agents import AgentRegistry
from wardlight_lab.bluez.bonds import BondStore
from wardlight_lab.bluez.errors import ReplyError, failed, in_progress, not_ready
from wardlight_lab.bluez.faults import ABORT_BY_LOCAL, AdapterFaults, Operation
from wardlight_lab.bluez.gatt_objects import GattObjects
from wardlight_lab.bluez.object_tree import ObjectTree, Properties
from wardlight_lab.bluez.peripheral import Peripheral
from wardlight_lab.bluez.radio_link import RadioLink, Reason
from wardlight_lab.bluez.timing import Timing


@dataclass(frozen=True, slots=True)
class Host:
    """What every device needs of the machine it is on."""

    tree: ObjectTree
    agents: AgentRegistry
    bonds: BondStore
    timing: Timing


class AdapterView(Protocol):
    """What a device sees of the adapter it was found on."""

    path: str
    address: str
    faults: AdapterFaults
    is_powered: bool

    @property
    def is_discovering(self) -> bool:
        """Whether any client has discovery on."""


class Connection:
    """At most one link between an adapter and a peripheral.

    show   takes changed Device1 properties
    ended  told when a link has ended
    """

    def __init__(
        self,
        host: Host,
        adapter: AdapterView,
        peripheral: Peripheral,
        gatt: GattObjects,
        show: Callable[[Properties], None],
        ended: Callable[[], None],
    ) -> None:
        self._host = host
        self._adapter = adapter
        self._gatt = gatt
        self._show = show
        self._ended = ended
        self._attempt: asyncio.Task[None] | None = None
        self._resolving: asyncio.Task[None] | None = None
        self.peripheral = peripheral
        self.link: RadioLink | None = None
        self.is_disconnecting = False

    @property
    def is_opening(self) -> bool:
        """Whether an attempt is under way."""
        return self._attempt is not None

    async def open(self) -> None:
        """Connect; a link that stands is no error. Errors: ReplyError."""
        if self._attempt is not None:
            raise in_progress("In Progress")
        if self.link is not None:
            return
        if not self._adapter.is_powered:
            raise not_ready()
        self._attempt = self._task(self._try(), "connect")
        try:
            await outcome(self._attempt, failed("br-connection-canceled"))
        finally:
            self._attempt = None

    async def resolved(self) -> None:
        """Wait until the services are resolved or the link has ended."""
        if self._resolving is not None:
            await asyncio.wait({self._resolving})

    async def end(self, reason: Reason = Reason.LOCAL) -> None:
        """End the link, or the attempt to make one."""
        await cancel(self._attempt)
        if self.link is None:
            return
        if Operation.DISCONNECT in self.peripheral.faults.hang:
            await asyncio.Event().wait()
        self.is_disconnecting = True
        try:
            await asyncio.sleep(self._host.timing.disconnect)
        finally:
            self.is_disconnecting = False
        await self.end_now(reason)

    async def end_now(self, reason: Reason = Reason.LOCAL) -> None:
        """End the link without the idle time that bluetoothd waits."""
        await cancel(self._attempt)
        await cancel(self._resolving)
        link = self.link
        if link is not None:
            link.end(reason)
            await link.tasks_done()

    async def _try(self) -> None:
        busy = self._adapter.faults.connect_while_scanning
        if busy is not None and self._adapter.is_discovering:
            raise busy
        await self._until_connectable()
        await asyncio.sleep(self._host.timing.connect)
        error = self.peripheral.faults.next_connect_error()
        if error is not None:
            if error.text == ABORT_BY_LOCAL:
                self._show_failed_link()
            raise error
        self._establish()

    async def _until_connectable(self) -> None:
        """Wait for the device to advertise; BlueZ gives up after the kernel's timeout."""
        peripheral, heard = self.peripheral, asyncio.Event()
        if Operation.CONNECT in peripheral.faults.hang:
            await heard.wait()
        stop = peripheral.listen(heard.set)
        try:
            async with asyncio.timeout(self._host.timing.connect_timeout):
                while not peripheral.is_connectable:
                    heard.clear()
                    await heard.wait()
        except TimeoutError:
            raise failed(ABORT_BY_LOCAL) from None
        finally:
            stop()

    def _show_failed_link(self) -> None:
        """A connection that fails to be established is seen as one that comes and goes."""
        self._show({"Connected": Variant("b", True)})
        down = {"Connected": Variant("b", False)}
        asyncio.get_running_loop().call_soon(self._show, down)

    def _establish(self) -> None:
        peripheral, pair = self.peripheral, (self._adapter.address, self.peripheral.address)
        bonds = self._host.bonds
        fits = bonds.fits(*pair) and not peripheral.faults.refuse_bond
        bond = bonds.device_bond(*pair) if fits else None
        link = RadioLink(
            peripheral,
            deliver=self._gatt.deliver,
            ended=self._on_ended,
            remembered=set(bond.subscribed) if bond else set(),
            is_encrypted=fits,
            indication_s=self._host.timing.indication,
        )
        self.link = link
        peripheral.link_changed(link)
        self._show({"Connected": Variant("b", True)})
        if bonds.has_host_bond(*pair) and not fits:
            # The host raises security with its key, the device has none: the link ends at once.
            asyncio.get_running_loop().call_soon(link.end, Reason.AUTHENTICATION)
            return
        link.start()
        self._resolving = self._task(self._resolve(link), "resolve")

    async def _resolve(self, link: RadioLink) -> None:
        if Operation.RESOLVE in self.peripheral.faults.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(0 if self._gatt.is_exported else self._host.timing.resolve)
        self._gatt.export()
        uuids = [each.uuid for each in self.peripheral.services]
        self._show({"UUIDs": Variant("as", uuids), "ServicesResolved": Variant("b", True)})
        self._gatt.resubscribe(link)

    def _on_ended(self, reason: Reason) -> None:
        del reason  # BlueZ 5.82 and later tell it in a Disconnected signal; bleak does not listen
        link, self.link = self.link, None
        pair = (self._adapter.address, self.peripheral.address)
        if link is not None and self._host.bonds.fits(*pair):
            self._host.bonds.remember_subscribed(*pair, link.subscribed)
        if self._resolving is not None:
            self._resolving.cancel()
        self._ended()
        self._show({"ServicesResolved": Variant("b", False)})
        self._show({"Connected": Variant("b", False)})

    def _task(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        name = f"{what} {self.peripheral.address}"
        return asyncio.get_running_loop().create_task(work, name=name)


async def outcome(task: asyncio.Task[None], cancelled: ReplyError) -> None:
    """The result of a task that others may cancel: cancellation becomes `cancelled`."""
    await asyncio.wait({task})
    if task.cancelled():
        raise cancelled
    error = task.exception()
    if error is not None:
        raise error


async def cancel(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for its end."""
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task})
