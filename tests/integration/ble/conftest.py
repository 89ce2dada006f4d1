"""A fake BlueZ with two adapters, reached by bleak of this process, and a cuff in its range."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.ble_visits import WatchedCuff
from wardlight_lab.bluez import FakeBluez


@pytest.fixture
async def bluez(
    peer: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeBluez]:
    """A fake BlueZ."""
    peer("dbus-daemon")
    async with FakeBluez(adapters=("hci0", "hci1")) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        yield fake


@pytest.fixture
async def cuff(bluez: FakeBluez) -> WatchedCuff:
    """A cuff in range."""
    made = WatchedCuff()
    bluez.add(made)
    return made
