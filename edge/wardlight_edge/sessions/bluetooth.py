"""Bluetooth as the runner sees it: begun with the first device that needs it, named by identity.

A gateway without such devices imports none of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wardlight_edge.config import BleSettings
from wardlight_edge.transports.base import Moments, RadioState
from wardlight_shared.errors import ConfigError

if TYPE_CHECKING:
    from wardlight_edge.transports.ble_agent import Operator
    from wardlight_edge.transports.ble_stack import BleStack
    from wardlight_edge.transports.overheard import Overheard


class Bluetooth:
    """One stack for all devices.

    bonds_file  where it is written down who is bonded with which adapter
    operator    who pairs a device now and then; None = nobody ever
    report      told the state of an adapter when it has changed
    """

    def __init__(
        self,
        settings: BleSettings,
        bonds_file: Path,
        moments: Moments,
        operator: "Operator | None",
        report: Callable[[RadioState], None],
    ) -> None:
        self._settings = settings
        self._bonds_file = bonds_file
        self._moments = moments
        self._operator = operator
        self._report = report
        self.stack: BleStack | None = None
        """None: no device has needed it yet."""

    def use(self, identity: str) -> "BleStack | None":
        """Listen to a device. Returns the stack where this has made it: it must be run."""
        is_new = self.stack is None
        self.stack = self.stack or self._made()
        self.stack.add(address_of(identity))
        return self.stack if is_new else None

    def states(self) -> tuple[RadioState, ...]:
        """Every adapter now."""
        return () if self.stack is None else self.stack.states()

    def heard_ms(self, identity: str) -> int | None:
        """When a device was heard last, on the monotonic clock."""
        if self.stack is None or not identity.startswith("ble:"):
            return None
        return self.stack.heard_ms(address_of(identity))

    def signal_dbm(self, identity: str) -> int | None:
        """How well a device was heard last."""
        if self.stack is None or not identity.startswith("ble:"):
            return None
        return self.stack.signal_dbm(address_of(identity))

    def bond_of(self, identity: str) -> str | None:
        """The adapter that a device is bonded with; None = none."""
        if self.stack is None or not identity.startswith("ble:"):
            return None
        return self.stack.bonds.adapter_of(address_of(identity))

    async def forget(self, identity: str) -> None:
        """Drop the bond of a device that is used no more. TransportError: not now."""
        if self.stack is not None:
            await self.stack.forget(address_of(identity))
            self.stack.drop(address_of(identity))

    def overheard(self, since: int | None) -> "Overheard":
        """What the proxies hear of anybody. ConfigError: Bluetooth is not in use."""
        if self.stack is None:
            raise ConfigError("the gateway has no Bluetooth device, and uses no proxy")
        return self.stack.overheard(since)

    def operator_changed(self) -> None:
        """An operator has come or gone."""
        if self.stack is not None:
            self.stack.operator_changed()

    def _made(self) -> "BleStack":
        from wardlight_edge.transports.ble_bonds import Bonds
        from wardlight_edge.transports.ble_stack import BleStack

        return BleStack(
            self._settings,
            (),
            Bonds(self._bonds_file),
            self._moments,
            operator=self._operator,
            report=self._report,
        )


def address_of(identity: str) -> str:
    """The address of a Bluetooth device."""
    from wardlight_edge.transports.ble_device import address_from_identity

    return address_from_identity(identity)
