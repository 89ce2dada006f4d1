"""The devices of a gateway: those of its settings file, and those an operator has enrolled.

Enrolled ones lie in ``data_dir``/devices.toml (mode 0600, replaced whole and durably), with the
keys of [[device]]. Whoever holds the lock beside it may change it: the running gateway, or else a
command that runs without one.

Errors  ConfigError: a device that is in both places, or a file that is not right; StorageError:
        the disk is in trouble, nothing has changed
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

import msgspec

from wardlight_edge.config import DeviceSettings, Settings, check_devices, parse_devices
from wardlight_edge.enrolment.toml_text import text_of
from wardlight_edge.sessions import private_file
from wardlight_shared.errors import ConfigError, StorageError

FILE_NAME: Final = "devices.toml"
_LOCK_POLL_S: Final = 0.1
_HEADING: Final = "Written by `wardlight-edge devices`, which also changes it."


class Origin(StrEnum):
    """Where a device is written down."""

    SETTINGS = "settings file"
    ENROLLED = "enrolled"


class RegisterBusyError(Exception):
    """Somebody else holds the register: most likely the running gateway."""


class Register:
    """Both kinds of devices; ``add``, ``replace`` and ``remove`` change the enrolled ones."""

    def __init__(
        self, file: Path, listed: tuple[DeviceSettings, ...], enrolled: tuple[DeviceSettings, ...]
    ) -> None:
        self._file = file
        self._listed = {each.identity: each for each in listed}
        self._enrolled = {each.identity: each for each in enrolled}
        both = sorted(self._listed.keys() & self._enrolled.keys())
        if both:
            raise ConfigError(
                f"device {both[0]} is in the settings file and in {file}: remove its [[device]] "
                "section from one of them"
            )

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """What is written now."""
        file = settings.data_dir / FILE_NAME
        return cls(file, settings.devices, _read(file))

    @property
    def devices(self) -> tuple[DeviceSettings, ...]:
        """All of them, those of the settings file first."""
        return (*self._listed.values(), *self._enrolled.values())

    def __contains__(self, identity: str) -> bool:
        return identity in self._listed or identity in self._enrolled

    def origin(self, identity: str) -> Origin:
        """Where a device is written down."""
        return Origin.SETTINGS if identity in self._listed else Origin.ENROLLED

    def enrolled(self, identity: str) -> DeviceSettings:
        """A device that may be changed here. ConfigError: there is none, or not here."""
        if identity in self._listed:
            raise ConfigError(
                f"{identity} is in the settings file: change its [[device]] section there, then "
                "restart the gateway"
            )
        found = self._enrolled.get(identity)
        if found is None:
            raise ConfigError(
                f"{identity} is not enrolled; `wardlight-edge devices list` shows all"
            )
        return found

    def add(self, device: DeviceSettings) -> None:
        """Enrol a device."""
        if device.identity in self:
            raise ConfigError(
                f"{device.identity} is enrolled already ({self.origin(device.identity)})"
            )
        self._write({**self._enrolled, device.identity: device})

    def replace(self, device: DeviceSettings) -> None:
        """Change a device."""
        self.enrolled(device.identity)
        self._write({**self._enrolled, device.identity: device})

    def remove(self, identity: str) -> None:
        """Forget a device."""
        self.enrolled(identity)
        self._write({name: each for name, each in self._enrolled.items() if name != identity})

    def _write(self, enrolled: dict[str, DeviceSettings]) -> None:
        check_devices([*self._listed.values(), *enrolled.values()], str(self._file))
        text = text_of(enrolled.values(), _HEADING)
        try:
            private_file.replace(self._file, text.encode())
        except OSError as error:
            raise StorageError(f"{self._file}: not written ({error.strerror})") from error
        self._enrolled = enrolled


def merged(settings: Settings) -> Settings:
    """The settings with the enrolled devices among theirs, for whoever only looks."""
    return msgspec.structs.replace(settings, devices=Register.read(settings).devices)


@contextmanager
def held(data_dir: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """The right to change the register of this folder; waits for whoever has it for a moment.

    RegisterBusyError: another one keeps it. ConfigError: this account may not.
    """
    file = data_dir / "devices.lock"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}; use the account of the gateway, or root"
        ) from error
    try:
        private_file.give_to_owner(descriptor, data_dir)
        _lock(descriptor, time.monotonic() + wait_s)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise RegisterBusyError from error
            time.sleep(_LOCK_POLL_S)
        else:
            return


def _read(file: Path) -> tuple[DeviceSettings, ...]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from error
    return parse_devices(text, source=str(file), folder=file.parent)
