"""The fake BlueZ on a bus of its own, and a pairing agent such as a gateway has."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from wardlight_lab.bluez import FakeBluez

FIND_TIMEOUT_S = 20.0

Find = Callable[..., Awaitable[BLEDevice]]
AgentAtBus = Callable[..., AbstractAsyncContextManager["Agent"]]


@dataclass
class Agent:
    """An org.bluez.Agent1: answers as told and remembers what it was asked."""

    bus: MessageBus
    answer: int | str | None = None
    asked: list[tuple[str, list[Any]]] = field(default_factory=list)

    def on_message(self, message: Message) -> Message | bool:
        """None answers yes, a number is the passkey, an error name refuses, "silent" waits."""
        if message.interface != "org.bluez.Agent1":
            return False
        self.asked.append((message.member or "", message.body))
        if self.answer == "silent":
            return True
        if isinstance(self.answer, str):
            return Message.new_error(message, self.answer, "refused")
        if message.member == "RequestPasskey":
            return Message.new_method_return(message, "u", [self.answer])
        return Message.new_method_return(message)

    @property
    def questions(self) -> list[str]:
        """The methods that were called."""
        return [member for member, _ in self.asked]


@pytest.fixture
async def bluez(
    peer: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeBluez]:
    """A fake BlueZ with two adapters, reached by bleak of this process."""
    peer("dbus-daemon")
    async with FakeBluez(adapters=("hci0", "hci1")) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for a socket in it, which that of tmp_path may not."""
    with TemporaryDirectory(prefix="wl-") as name:
        yield Path(name)


@pytest.fixture
async def find() -> Find:
    """Scans for a device by address, on hci0 unless told otherwise."""

    async def scan(address: str, adapter: str = "hci0") -> BLEDevice:
        found = await BleakScanner.find_device_by_address(
            address, timeout=FIND_TIMEOUT_S, bluez={"adapter": adapter}
        )
        assert found is not None, f"{address} not heard on {adapter}"
        return found

    return scan


@pytest.fixture
def agent_at_bus() -> AgentAtBus:
    """Gives a context in which an agent is registered as default with the current system bus."""
    return _agent


@pytest.fixture
async def register_agent(
    bluez: FakeBluez,
) -> AsyncIterator[Callable[..., Awaitable[Agent]]]:
    """Registers agents as default; they leave the bus at the end."""
    del bluez
    async with AsyncExitStack() as stack:

        async def register(
            capability: str = "NoInputNoOutput", answer: int | str | None = None
        ) -> Agent:
            return await stack.enter_async_context(_agent(capability, answer))

        yield register


@asynccontextmanager
async def _agent(
    capability: str = "NoInputNoOutput", answer: int | str | None = None
) -> AsyncIterator[Agent]:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        agent = Agent(bus, answer)
        bus.add_message_handler(agent.on_message)
        await _manage(bus, "RegisterAgent", "os", ["/agent", capability])
        await _manage(bus, "RequestDefaultAgent", "o", ["/agent"])
        yield agent
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def _manage(bus: MessageBus, member: str, signature: str, body: list[Any]) -> None:
    reply = await bus.call(
        Message(
            destination="org.bluez",
            path="/org/bluez",
            interface="org.bluez.AgentManager1",
            member=member,
            signature=signature,
            body=body,
        )
    )
    assert reply.message_type is MessageType.METHOD_RETURN, reply.body
