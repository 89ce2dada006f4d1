"""One device as BlueZ shows it: Device1 with its methods, and pairing.

Source  BlueZ doc/org.bluez.Device.rst, src/device.c (error names)
"""

import asyncio
from typing import Any, Final

from dbus_fast import Variant

from wardlight_lab.bluez.agents import Agent
from wardlight_lab.bluez.bonds import HostBond
from wardlight_lab.bluez.connection import AdapterView, Connection, Host, cancel, outcome
from wardlight_lab.bluez.errors import (
    INSUFFICIENT_AUTHENTICATION,
    ReplyError,
    does_not_exist,
    failed,
    in_progress,
    reply_for_att,
)
from wardlight_lab.bluez.faults import ABORT_BY_LOCAL, Operation
from wardlight_lab.bluez.gatt_objects import GattObjects
from wardlight_lab.bluez.object_tree import Call, Interface, Method, Properties
from wardlight_lab.bluez.pairing import authenticate
from wardlight_lab.bluez.peripheral import Peripheral
from wardlight_lab.bluez.radio_link import RadioLink, Reason

DEVICE: Final = "org.bluez.Device1"


class RemoteDevice:
    """A device known to an adapter; without a peripheral, only its bond is left."""

    def __init__(
        self, host: Host, adapter: AdapterView, address: str, peripheral: Peripheral | None
    ) -> None:
        self._host = host
        self._adapter = adapter
        self._pairing: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self.address = address
        self.path = f"{adapter.path}/dev_{address.replace(':', '_')}"
        self.is_temporary = not self._is_bonded
        self.gatt: GattObjects | None = None
        if peripheral is not None:
            self.attach(peripheral)

    @property
    def link(self) -> RadioLink | None:
        """The link that stands, if any."""
        return self._connection.link if self._connection else None

    @property
    def is_disconnecting(self) -> bool:
        """Whether a Disconnect is under way."""
        return self._connection is not None and self._connection.is_disconnecting

    @property
    def is_pairing(self) -> bool:
        """Whether a pairing is under way."""
        return self._pairing is not None

    @property
    def _is_bonded(self) -> bool:
        return self._host.bonds.has_host_bond(self._adapter.address, self.address)

    def attach(self, peripheral: Peripheral) -> None:
        """The device itself is there (again)."""
        self.gatt = GattObjects(self._host.tree, self, peripheral)
        self._connection = Connection(
            self._host,
            self._adapter,
            peripheral,
            self.gatt,
            show=self._change,
            ended=self._cancel_pairing,
        )

    def interface(self, properties: Properties) -> Interface:
        """Device1 with the properties known from advertising, and those of this object."""
        bonded = Variant("b", self._is_bonded)
        own: Properties = {
            "Address": Variant("s", self.address),
            "Adapter": Variant("o", self._adapter.path),
            "Paired": bonded,
            "Bonded": bonded,
            "Trusted": Variant("b", False),
            "Blocked": Variant("b", False),
            "LegacyPairing": Variant("b", False),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
        }
        methods = {
            "Connect": Method(self._on_connect),
            "Disconnect": Method(self._on_disconnect),
            "Pair": Method(self._on_pair),
            "CancelPairing": Method(self._on_cancel_pairing),
        }
        setters = {"Trusted": self._set_trusted, "Blocked": self._set_blocked}
        return Interface(DEVICE, properties | own, methods, setters)

    async def disconnect(self) -> None:
        """End the link or the attempt to make one, as Device1.Disconnect does."""
        if self._connection is not None:
            await self._connection.end()

    async def forget(self) -> None:
        """Drop the bond and every object (RemoveDevice)."""
        await self.disconnect()
        self._host.bonds.forget_device(self._adapter.address, self.address)
        await self.close()

    async def close(self) -> None:
        """Stop whatever runs and take the device off the bus; the bond stays."""
        await cancel(self._pairing)
        if self._connection is not None:
            await self._connection.end_now()
        self.withdraw()

    def withdraw(self) -> None:
        """Take the objects of a device without a link off the bus."""
        if self.gatt is not None:
            self.gatt.withdraw()
        self._host.tree.withdraw(self.path)

    async def require_encryption(self) -> None:
        """Encrypt the link for an attribute that asks for it, pairing with the default agent.

        Errors  ReplyError NotPermitted "Not paired"
        """
        if self.link is None:
            raise failed("Not connected")
        if self.link.is_encrypted:
            return
        agent = self._host.agents.default()
        if agent is None or self._is_bonded:
            raise reply_for_att(INSUFFICIENT_AUTHENTICATION)
        try:
            await self._pair(agent)
        except ReplyError as error:
            raise reply_for_att(INSUFFICIENT_AUTHENTICATION) from error

    async def _on_connect(self, call: Call) -> list[Any]:
        del call
        if self._pairing is not None:
            raise in_progress("In Progress")
        await self._connect()
        return []

    async def _on_disconnect(self, call: Call) -> list[Any]:
        del call
        await self.disconnect()
        return []

    async def _on_pair(self, call: Call) -> list[Any]:
        if self._pairing is not None or (self._connection and self._connection.is_opening):
            raise in_progress("In Progress")
        if self._is_bonded:
            raise ReplyError("AlreadyExists", "Already Exists")
        connection = await self._connect()
        try:
            await self._pair(self._host.agents.of_client(call.sender))
        except ReplyError:
            await connection.end_now(Reason.AUTHENTICATION)  # as BlueZ does after a failed Pair
            raise
        await connection.resolved()
        return []

    async def _on_cancel_pairing(self, call: Call) -> list[Any]:
        del call
        if self._pairing is None:
            raise does_not_exist()
        await cancel(self._pairing)
        return []

    async def _connect(self) -> Connection:
        self.is_temporary = False
        if self._connection is None:
            await asyncio.sleep(self._host.timing.connect_timeout)
            raise failed(ABORT_BY_LOCAL)
        await self._connection.open()
        return self._connection

    async def _pair(self, agent: Agent | None) -> None:
        """Pair; a second request while one runs shares its outcome."""
        if self._pairing is None:
            loop = asyncio.get_running_loop()
            self._pairing = loop.create_task(self._try_pair(agent), name=f"pair {self.address}")
            self._pairing.add_done_callback(self._pairing_done)
        cancelled = ReplyError("AuthenticationCanceled", "Authentication Canceled")
        await outcome(self._pairing, cancelled)

    def _cancel_pairing(self) -> None:
        if self._pairing is not None:
            self._pairing.cancel()

    def _pairing_done(self, task: asyncio.Task[None]) -> None:
        self._pairing = None
        if not task.cancelled():
            task.exception()  # whoever waits for the outcome has it; a link that ended has nobody

    async def _try_pair(self, agent: Agent | None) -> None:
        connection, link = self._connection, self.link
        if connection is None or link is None:
            raise failed("Not connected")
        peripheral = connection.peripheral
        if Operation.PAIR in peripheral.faults.hang:
            await asyncio.Event().wait()
        await authenticate(peripheral, self.path, agent, self._host.timing.agent_timeout)
        if not link.is_up:
            raise ReplyError("AuthenticationCanceled", "Authentication Canceled")
        about = HostBond("", peripheral.name, peripheral.address_type)
        about.service_uuids = [each.uuid for each in peripheral.services]
        self._host.bonds.bond(self._adapter.address, self.address, about)
        link.is_encrypted = True
        self._change({"Paired": Variant("b", True), "Bonded": Variant("b", True)})

    async def _set_trusted(self, value: bool) -> None:
        self._change({"Trusted": Variant("b", bool(value))})

    async def _set_blocked(self, value: bool) -> None:
        self._change({"Blocked": Variant("b", bool(value))})

    def _change(self, changed: Properties) -> None:
        self._host.tree.change(self.path, DEVICE, changed)
