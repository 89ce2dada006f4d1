"""An operator's word to the running gateway: enrol, change, remove, pair.

Devices that are not named go on as if nothing had happened. What is answered "done" is on the disk.

Errors  ConfigError: what was asked cannot be; StorageError, TransportError: not now
"""

import asyncio
import logging
from datetime import date
from pathlib import Path

import msgspec

from wardlight_edge import profiles
from wardlight_edge.config import DeviceSettings
from wardlight_edge.enrolment.desk import PairingDesk
from wardlight_edge.enrolment.messages import Changed, Opened, Removed, Window
from wardlight_edge.enrolment.register import Register
from wardlight_edge.sessions.fitting import check_device, check_files
from wardlight_edge.sessions.runner import DeviceRunner, bound_to
from wardlight_shared.errors import ConfigError, StorageError, TransportError
from wardlight_shared.profile import Profile

_CHECK_S = 1.0
RENEWED = (
    "it only advertises, so there is no bond to make; its counter may begin anew with the next "
    "thing it says"
)
_logger = logging.getLogger(__name__)


class Enrolment:
    """What an operator may ask, one change at a time.

    ``run`` keeps what devices have told and closes windows whose time is over.
    """

    def __init__(
        self, register: Register, runner: DeviceRunner, desk: PairingDesk, profiles_dir: Path
    ) -> None:
        self._register = register
        self._runner = runner
        self._desk = desk
        self._profiles_dir = profiles_dir
        self._changing = asyncio.Lock()
        # At most one entry for each device: it is used for the first time once.
        self._bound: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_CHECK_S):
                    identity, serial_number = await self._bound.get()
            except TimeoutError:
                self._desk.expire()
                continue
            await self._keep(identity, serial_number)

    def note_bound(self, identity: str, serial_number: str | None) -> None:
        """A device was used for the first time, and is known from now on. Never blocks."""
        self._bound.put_nowait((identity, serial_number))

    async def add(self, device: DeviceSettings) -> None:
        """Enrol a device and run it."""
        profile = fitting_profile(self._profiles_dir, device)
        async with self._changing:
            await asyncio.to_thread(self._register.add, device)
            self._runner.add(device, profile)
        _logger.info("device enrolled", extra={"device": device.identity})

    async def change(self, changed: Changed) -> None:
        """Change what is known of a device; another profile is that of the next start.

        What is under way with the profile it has (a visit, a stream) ends as it began.
        """
        async with self._changing:
            enrolled = self._register.enrolled(changed.identity)
            device = with_changes(enrolled, changed, self._profiles_dir)
            await asyncio.to_thread(self._register.replace, device)
            now = self._runner.devices[changed.identity]
            self._runner.change(
                msgspec.structs.replace(now, calibration_due=device.calibration_due)
            )

    async def remove(self, identity: str) -> Removed:
        """Take a device out, with its bond; what was accepted of it stays and is sent."""
        async with self._changing:
            await asyncio.to_thread(self._register.remove, identity)
            self._desk.forget(identity)
            had_bond = self._runner.bond_of(identity) is not None
            given_up = await self._stop(identity)
            bond_left = await self._forget_bond(identity)
        _logger.info("device removed", extra={"device": identity, "given_up": given_up})
        return Removed(had_bond, bond_left, given_up)

    async def pair(self, opened: Opened) -> Window:
        """Open a window, and forget the bond that may be there."""
        device = self._runner.devices.get(opened.identity)
        if device is None or not opened.identity.startswith("ble:"):
            raise ConfigError(f"{opened.identity}: not a Bluetooth device of this gateway")
        if self._runner.profile_of(device).transport.adverts is not None:
            await self._runner.repair(opened.identity)
            return self._desk.done(opened.identity, RENEWED)
        needs_bond = self._runner.needs_bond(device)
        needs_identity = device.bind == "first-use"
        if not needs_bond and not needs_identity:
            raise ConfigError(
                f"{opened.identity}: nothing to pair: its profile {device.profile!r} says "
                "bond = false"
            )
        window = self._desk.open(
            opened.identity,
            opened.seconds,
            needs_bond=needs_bond,
            needs_identity=needs_identity,
        )
        try:
            await self._runner.repair(opened.identity)
        except BaseException:
            self._desk.close(window.window)
            raise
        return window

    # -- inside

    async def _stop(self, identity: str) -> int:
        try:
            return await self._runner.remove(identity)
        except StorageError:
            _logger.warning("readings in doubt not given up", extra={"device": identity})
            return 0

    async def _forget_bond(self, identity: str) -> str | None:
        if not identity.startswith("ble:"):
            return None
        try:
            await self._runner.forget_bond(identity)
        except TransportError as error:
            return str(error)
        return None

    async def _keep(self, identity: str, serial_number: str | None) -> None:
        async with self._changing:
            try:
                device = bound_to(self._register.enrolled(identity), serial_number)
                await asyncio.to_thread(self._register.replace, device)
            except ConfigError:
                return  # it was removed meanwhile
            except StorageError as error:
                _logger.exception("first use not kept", extra={"device": identity})
                self._desk.not_bound(identity, f"what the device is known by is not kept: {error}")
                return
        _logger.info("device bound", extra={"device": identity, "by_serial": bool(serial_number)})
        known_by = "it has no serial number: known by its address from now on"
        if serial_number is not None:
            known_by = f"known by its serial number {serial_number} from now on"
        self._desk.bound(identity, known_by)


def fitting_profile(profiles_dir: Path, device: DeviceSettings) -> Profile:
    """The profile of a device. ConfigError: it is not there, or the device cannot run with it."""
    profile = profiles.load(profiles_dir, [device.profile])[device.profile]
    check_device(device, profile)
    check_files(device)
    return profile


def fitted(profiles_dir: Path, device: DeviceSettings) -> tuple[DeviceSettings, Profile]:
    """A device with its profile; one that is never connected is known by its address."""
    profile = fitting_profile(profiles_dir, device)
    if profile.transport.adverts is not None:
        device = msgspec.structs.replace(device, bind="address")
    return device, profile


def with_changes(device: DeviceSettings, changed: Changed, profiles_dir: Path) -> DeviceSettings:
    """The device as it shall be. ConfigError: it cannot be."""
    if changed.profile is not None:
        other = msgspec.structs.replace(device, profile=changed.profile)
        device, _ = fitted(profiles_dir, other)
    if changed.calibration_due is None:
        return device
    return msgspec.structs.replace(device, calibration_due=day_of(changed.calibration_due))


def day_of(text: str) -> date | None:
    """A day as 2027-03-01; "" = none."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no day: write it as 2027-03-01") from error
