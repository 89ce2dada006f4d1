"""The pairing agent: answers bluetoothd's questions while we pair, and refuses all others.

bluetoothd pairs by itself when somebody reads an encrypted characteristic; without an agent such a
read fails, with a careless one a stranger is bonded. This one says yes only for a device whose
pairing a transport has announced (``expect``), and yields a passkey only from an operator.

Out     the reply to each call of org.bluez.Agent1, as (signature, body), or Refusal
Source  BlueZ doc/org.bluez.Agent.rst
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

INTERFACE: Final = "org.bluez.Agent1"
PATH: Final = "/org/wardlight/agent"
REJECTED: Final = "org.bluez.Error.Rejected"
_logger = logging.getLogger(__name__)

Passkey = Callable[[str], Awaitable[int | None]]
"""Asks an operator for the six digits that the device with this address shows; None = refuse."""


class Refusal(Exception):
    """The agent refuses; bluetoothd ends the pairing."""


class PairingAgent:
    """Knows which pairings are wanted.

    passkey  where six digits come from; None: this gateway has neither display nor keys
    """

    def __init__(self, passkey: Passkey | None = None) -> None:
        self._passkey = passkey
        self._expected: set[str] = set()

    @property
    def capability(self) -> str:
        """What is registered: it decides which ways of pairing bluetoothd offers."""
        return "NoInputNoOutput" if self._passkey is None else "KeyboardDisplay"

    @contextmanager
    def expect(self, device_path: str) -> Iterator[None]:
        """Within this context the device at this D-Bus path may pair."""
        self._expected.add(device_path)
        try:
            yield
        finally:
            self._expected.discard(device_path)

    async def answer(self, member: str, body: list[Any]) -> tuple[str, list[Any]]:
        """Answer one call. Raises Refusal."""
        if member in {"Release", "Cancel"}:
            return "", []
        device_path = str(body[0]) if body else ""
        if device_path not in self._expected:
            _logger.warning("pairing refused", extra={"path": device_path, "question": member})
            raise Refusal("not an expected pairing")
        match member:
            case "RequestAuthorization" | "AuthorizeService" | "DisplayPasskey" | "DisplayPinCode":
                return "", []
            case "RequestPasskey":
                return "u", [await self._ask(device_path)]
            case "RequestPinCode":
                return "s", [f"{await self._ask(device_path):06}"]
            case "RequestConfirmation":
                return "", await self._confirm(device_path, int(body[1]))
        raise Refusal(f"{member} is not a question of org.bluez.Agent1")

    async def _ask(self, device_path: str) -> int:
        digits = None if self._passkey is None else await self._passkey(address_of(device_path))
        if digits is None:
            raise Refusal("no operator gave a passkey")
        return digits

    async def _confirm(self, device_path: str, shown: int) -> list[Any]:
        if await self._ask(device_path) != shown:
            raise Refusal("the operator saw another number")
        return []


def address_of(device_path: str) -> str:
    """Address of a device from its D-Bus path /org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF."""
    return device_path.rpartition("/dev_")[2].replace("_", ":")
