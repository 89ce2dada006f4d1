"""Which adapter holds the bond with which device.

A key lives in one controller's host: with two adapters a device must be reached by the one it was
bonded with. BlueZ keeps the keys; this file keeps our knowledge that there should be one, so that
a key BlueZ or the device has lost is seen as lost, and is not silently made anew.

In/Out  ``bonds.json``: {device address: adapter}, mode 0600
Errors  ConfigError: the file is not what this program writes
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from wardlight_shared.errors import ConfigError


class Bonds:
    """The bonds of this gateway."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._adapters = _read(file)

    @property
    def adapters(self) -> Mapping[str, str]:
        """The adapter of each bonded device, by address."""
        return self._adapters

    def adapter_of(self, address: str) -> str | None:
        """The adapter a device is bonded with, None = with none."""
        return self._adapters.get(address)

    def remember(self, address: str, adapter: str) -> None:
        """A device is bonded with an adapter."""
        if self._adapters.get(address) != adapter:
            self._adapters[address] = adapter
            self._write()

    def forget(self, address: str) -> None:
        """An operator repairs the bond: there is none until the device pairs again."""
        if self._adapters.pop(address, None) is not None:
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(self._adapters))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._file)


def _read(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: not readable as a table of bonds; remove it, then bond the devices again"
        ) from error
