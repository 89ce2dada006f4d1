"""Bluetooth that is not there: what can be said, and what must not be done."""

from pathlib import Path

import pytest

from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_edge.transports.ble_errors import BleError
from wardlight_edge.transports.ble_stack import BleStack

ADDRESS = "E0:00:00:00:00:01"


async def test_no_bond_is_forgotten_while_bluez_cannot_be_told(tmp_path: Path) -> None:
    """Else BlueZ would keep its key, and the next link would fail by it again."""
    bonds = Bonds(tmp_path / "bonds.json")
    bonds.remember(ADDRESS, "hci0")
    stack = BleStack(BleSettings(), [ADDRESS], bonds, SystemClock())
    with pytest.raises(BleError, match="try again later"):
        await stack.forget(ADDRESS)
    assert bonds.adapter_of(ADDRESS) == "hci0"
