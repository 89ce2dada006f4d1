"""The pairing agent: answers bluetoothd's questions while we pair, and refuses all others.

bluetoothd pairs by itself when somebody reads an encrypted characteristic; without an agent such a
read fails, with a careless one a stranger is bonded. This one says yes only for a device whose
pairing a transport has announced (``expect``), and has digits only from an operator who is at it.

Out     the reply to each call of org.bluez.Agent1, as (signature, body), or Refusal
Source  BlueZ doc/org.bluez.Agent.rst
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

INTERFACE: Final = "org.bluez.Agent1"
PATH: Final = "/org/wardlight/agent"
REJECTED: Final = "org.bluez.Error.Rejected"
_logger = logging.getLogger(__name__)


class Operator(Protocol):
    """The person at the gateway, who has opened a window for one device, or is not there.

    Devices are named by their address.
    """

    @property
    def is_present(self) -> bool:
        """Whether anybody can be asked now."""

    def is_at(self, address: str) -> bool:
        """Whether the window is open for this device."""

    async def digits(self, address: str) -> int | None:
        """Ask for the six digits that the device shows; None = refuse."""

    def show(self, address: str, digits: str) -> None:
        """Show digits that must be typed on the device."""

    def found(self, address: str) -> None:
        """The device was heard, and is being connected."""

    def paired(self, address: str) -> None:
        """The device has a bond now, and is in use."""

    def failed(self, address: str, reason: str | None) -> None:
        """It did not work, and is not tried again by itself; None = bluetoothd says no more."""

    def went(self, address: str) -> None:
        """The link was not made or has ended; it is tried again when the device is heard."""


class Refusal(Exception):
    """The agent refuses; bluetoothd ends the pairing."""


class PairingAgent:
    """Knows which pairings are wanted.

    operator  who is asked; None: nobody ever
    """

    def __init__(self, operator: Operator | None = None) -> None:
        self._operator = operator
        self._expected: set[str] = set()
        self._asking: asyncio.Task[int | None] | None = None

    @property
    def capability(self) -> str:
        """What is registered: it decides which ways of pairing bluetoothd offers.

        With nobody to ask, devices that need nobody pair without, the others not at all.
        """
        is_present = self._operator is not None and self._operator.is_present
        return "KeyboardDisplay" if is_present else "NoInputNoOutput"

    @contextmanager
    def expect(self, device_path: str) -> Iterator[None]:
        """Within this context the device at this D-Bus path may pair."""
        self._expected.add(device_path)
        try:
            yield
        finally:
            self._expected.discard(device_path)
            self._cancel()

    async def answer(self, member: str, body: list[Any]) -> tuple[str, list[Any]]:
        """Answer one call. Raises Refusal."""
        if member in {"Release", "Cancel"}:
            self._cancel()
            return "", []
        device_path = str(body[0]) if body else ""
        if device_path not in self._expected:
            _logger.warning("pairing refused", extra={"path": device_path, "question": member})
            raise Refusal("not an expected pairing")
        match member:
            case "RequestAuthorization" | "AuthorizeService":
                return "", []
            case "DisplayPasskey" | "DisplayPinCode":
                self._show(device_path, body[1])
                return "", []
            case "RequestPasskey":
                return "u", [await self._ask(device_path)]
            case "RequestPinCode":
                return "s", [f"{await self._ask(device_path):06}"]
            case "RequestConfirmation":
                return "", await self._confirm(device_path, int(body[1]))
        raise Refusal(f"{member} is not a question of org.bluez.Agent1")

    def _show(self, device_path: str, digits: int | str) -> None:
        address = address_of(device_path)
        if self._operator is None or not self._operator.is_at(address):
            raise Refusal("nobody is there to read the digits")
        text = digits if isinstance(digits, str) else f"{digits:06}"
        self._operator.show(address, text)

    async def _ask(self, device_path: str) -> int:
        address = address_of(device_path)
        if self._operator is None or not self._operator.is_at(address):
            raise Refusal("nobody is there to give the digits")
        self._cancel()
        asking = asyncio.ensure_future(self._operator.digits(address))
        self._asking = asking
        try:
            await asyncio.wait({asking})
        finally:
            asking.cancel()
        digits = None if asking.cancelled() else asking.result()
        if digits is None:
            raise Refusal("no operator gave the digits")
        return digits

    async def _confirm(self, device_path: str, shown: int) -> list[Any]:
        """Whoever types what the device shows has compared; a mere yes would be said unread."""
        if await self._ask(device_path) != shown:
            raise Refusal("the operator saw other digits")
        return []

    def _cancel(self) -> None:
        """bluetoothd has given up, or the link has gone: nobody waits for digits any more."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()


def address_of(device_path: str) -> str:
    """Address of a device from its D-Bus path /org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF."""
    return device_path.rpartition("/dev_")[2].replace("_", ":")
