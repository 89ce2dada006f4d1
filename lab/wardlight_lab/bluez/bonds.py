"""The keys of bonds, on both sides, kept in a file so that a second start finds its devices bonded.

In      `bonds.json` in the state folder: per adapter the devices it holds a key for, per device the
        keys and the CCCDs it remembers. Both sides have their own copy of the key: a device that
        was reset has none.
Errors  EmulationError: the file is not what this version writes
"""

import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from wardlight_lab.bluez.errors import EmulationError

FILE_NAME: Final = "bonds.json"


class HostBond(msgspec.Struct, forbid_unknown_fields=True):
    """What the adapter keeps about a bonded device."""

    key: str
    name: str = ""
    address_type: str = "public"
    service_uuids: list[str] = []


class DeviceBond(msgspec.Struct, forbid_unknown_fields=True):
    """What a device keeps about an adapter it is bonded with."""

    key: str
    subscribed: list[str] = []


class _State(msgspec.Struct, forbid_unknown_fields=True):
    adapters: dict[str, dict[str, HostBond]] = {}
    devices: dict[str, dict[str, DeviceBond]] = {}


class BondStore:
    """Bonds by adapter and device address; without a folder they live in memory only."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._state = _load(self._path)

    def of_adapter(self, adapter: str) -> dict[str, HostBond]:
        """The devices an adapter is bonded with, by address."""
        return self._state.adapters.get(adapter, {})

    def has_host_bond(self, adapter: str, device: str) -> bool:
        """Whether the adapter holds a key for the device."""
        return device in self.of_adapter(adapter)

    def device_bond(self, adapter: str, device: str) -> DeviceBond | None:
        """What the device remembers of this adapter."""
        return self._state.devices.get(device, {}).get(adapter)

    def fits(self, adapter: str, device: str) -> bool:
        """Whether both sides hold the same key."""
        host, remote = self.of_adapter(adapter).get(device), self.device_bond(adapter, device)
        return host is not None and remote is not None and host.key == remote.key

    def bond(self, adapter: str, device: str, about: HostBond) -> None:
        """Both sides take a fresh key."""
        key = secrets.token_hex(16)
        host = msgspec.structs.replace(about, key=key)
        self._state.adapters.setdefault(adapter, {})[device] = host
        self._state.devices.setdefault(device, {})[adapter] = DeviceBond(key)
        self._save()

    def remember_subscribed(self, adapter: str, device: str, uuids: set[str]) -> None:
        """The device keeps its CCCDs for the next link, when it is bonded."""
        bond = self.device_bond(adapter, device)
        if bond is not None and sorted(uuids) != bond.subscribed:
            bond.subscribed = sorted(uuids)
            self._save()

    def forget_device(self, adapter: str, device: str) -> None:
        """The adapter drops its key (RemoveDevice)."""
        if self._state.adapters.get(adapter, {}).pop(device, None) is not None:
            self._save()

    def reset_device(self, device: str) -> None:
        """The device drops all its keys (the patient has reset it)."""
        if self._state.devices.pop(device, None) is not None:
            self._save()

    def _save(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self._state)))
        fresh.replace(self._path)


def _load(path: Path | None) -> _State:
    if path is None or not path.exists():
        return _State()
    try:
        return msgspec.json.decode(path.read_bytes(), type=_State)
    except msgspec.DecodeError as error:
        raise EmulationError(f"{path}: {error}; remove the file to start unbonded") from error
