"""All devices of a gateway: one supervised task each, one for Bluetooth, and the board they write.

What ends by a fault is started again (supervision.py), the others never notice. What a gateway has
no device for (Bluetooth, serial lines) is not even imported.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.config import DeviceSettings, Settings
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.sessions.bluetooth import Bluetooth
from wardlight_edge.sessions.board import DeviceBoard
from wardlight_edge.sessions.device_clock import is_after_release
from wardlight_edge.sessions.fitting import check_device, check_files
from wardlight_edge.sessions.gateway import gateway_of
from wardlight_edge.sessions.lan_ports import check_port, ports_of
from wardlight_edge.sessions.radio_news import RadioNews
from wardlight_edge.sessions.removal import give_up
from wardlight_edge.sessions.serving import Serving
from wardlight_edge.sessions.supervision import Supervision
from wardlight_edge.transports.esphome_key import check_proxies
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile

if TYPE_CHECKING:
    from wardlight_edge.transports.ble_agent import Operator
    from wardlight_edge.transports.overheard import Overheard


class DeviceRunner:
    """Runs every device of the settings.

    profiles          by name; at least those the settings name
    live_until        UTC ms until which somebody watches, or None
    key               the gateway's key, for what is kept beside the outbox: quarantined octets
                      and readings of devices in doubt; None = keep only hashes
    is_clock_trusted  whether devices may be set by the wall clock; None = when it can be right
    operator          who pairs a device now and then; None = nobody ever
    bound             told the device and the serial number (None = it has none) that it was bound
                      to at its first use
    Errors            ConfigError: a device that cannot be run as the settings say
    """

    def __init__(
        self,
        settings: Settings,
        profiles: Mapping[str, Profile],
        outbox: Outbox,
        clock: Clock,
        live_until: Callable[[], int | None],
        *,
        key: bytes | None = None,
        is_clock_trusted: Callable[[], bool] | None = None,
        operator: "Operator | None" = None,
        bound: Callable[[str, str | None], None] = lambda _, __: None,
    ) -> None:
        self._settings = settings
        self._profiles = dict(profiles)
        self._devices = {each.identity: each for each in settings.devices}
        self._clock = clock
        self._bound = bound
        self._ports = ports_of(settings)
        listed = [(each.identity, each.profile) for each in settings.devices]
        listed += [(identity, port.profile) for identity, port in self._ports.items()]
        self.board = DeviceBoard(listed)
        data_dir = settings.data_dir
        self._gateway = gateway_of(
            data_dir,
            key,
            outbox=outbox,
            clock=clock,
            live_until=live_until,
            is_clock_trusted=is_clock_trusted or (lambda: is_after_release(clock)),
            bound=self._note_bound,
        )
        self._news = RadioNews(self._gateway)
        self._bluetooth = Bluetooth(
            settings.ble, data_dir / "bonds.json", clock, operator, self._news.put
        )
        bluetooth = self._bluetooth
        self.board.watch_radios(bluetooth.states, bluetooth.heard_ms, bluetooth.signal_dbm)
        self._serving = Serving(settings, self._gateway, self.board, bluetooth, clock)
        self._supervision = Supervision(self.board, self._news, clock)
        for device in settings.devices:
            check_device(device, self.profile_of(device))
        for identity, port in self._ports.items():
            check_port(identity, self._profile(identity, port.profile))
        check_proxies(settings.ble)

    async def run(self) -> None:
        """Run until cancelled; what was received by then is in the outbox when this returns."""
        try:
            async with self._supervision:
                self._supervision.start("news", self._news.run)
                for identity in self._ports:
                    self._supervision.start(identity, partial(self.listen, identity))
                for device in tuple(self._devices.values()):
                    self._start_device(device)
                await asyncio.Event().wait()
        finally:
            self._gateway.open_streams.close()

    @property
    def devices(self) -> Mapping[str, DeviceSettings]:
        """Every device that is run, by identity."""
        return self._devices

    def profile_of(self, device: DeviceSettings) -> Profile:
        """Its profile."""
        return self._profile(device.identity, device.profile)

    def needs_bond(self, device: DeviceSettings) -> bool:
        """Whether a Bluetooth device pairs before it is used."""
        ble = self.profile_of(device).transport.ble
        return ble is not None and ble.bond

    def bond_of(self, identity: str) -> str | None:
        """The adapter that a Bluetooth device is bonded with; None = none."""
        return self._bluetooth.bond_of(identity)

    def add(self, device: DeviceSettings, profile: Profile) -> None:
        """Run a further device; the others go on. ConfigError: it cannot be run."""
        check_device(device, profile)
        check_files(device)
        self._profiles[device.profile] = profile
        self._devices[device.identity] = device
        self.board.add(device.identity, device.profile)
        if self._supervision.is_running:
            self._start_device(device)

    def change(self, device: DeviceSettings) -> None:
        """A device has other settings from now on, of those that need no new session."""
        self._devices[device.identity] = device
        self._note_calibration(device)

    async def remove(self, identity: str) -> int:
        """Run a device no more; what it measured until now is in the outbox when this returns.

        Returns the number of readings given up: those that waited until it would be known whose
        they are. They are told as a gap. StorageError: the outbox refused to take that; they stay.
        """
        await self._supervision.stop(identity)
        self._devices.pop(identity, None)
        self.board.remove(identity)
        self._gateway.open_streams.forget(identity)
        self._news.put_device(identity, "link", {"state": "removed", "reason": None})
        await self._serving.forget(identity)
        return await give_up(identity, self._gateway)

    async def forget_bond(self, identity: str) -> None:
        """Drop the bond of a removed device. TransportError: BlueZ cannot be asked now."""
        await self._bluetooth.forget(identity)

    def overheard(self, since: int | None) -> "Overheard":
        """What the proxies hear of anybody, for a person who scans. ConfigError: none is used."""
        return self._bluetooth.overheard(since)

    def operator_changed(self) -> None:
        """An operator has come or gone."""
        self._bluetooth.operator_changed()

    async def repair(self, identity: str) -> None:
        """An operator repairs a BLE device's bond. ConfigError: no such device, or not BLE."""
        lacking = self._supervision.lacking(identity)
        if lacking is not None:
            raise ConfigError(lacking)
        repair = getattr(self._serving.transport(identity), "repair", None)
        if repair is None and identity in self._devices and not self._settings.ble.enabled:
            raise ConfigError("Bluetooth is switched off in the settings ([ble] enabled)")
        if repair is None:
            raise ConfigError(f"{identity}: not a Bluetooth device of this gateway")
        await repair()

    async def serve(self, identity: str) -> None:
        """One device until cancelled; raises what a fault raises.

        PrivateFileError: a file of its own cannot be used; until it can, nothing is begun.
        """
        device = self._devices[identity]
        await self._serving.serve(
            device,
            self._profiles[device.profile],
            has_all=lambda: self._supervision.has_all(identity),
            is_unknown=lambda: self._devices[identity].bind == "first-use",
        )

    async def listen(self, identity: str) -> None:
        """One LAN port until cancelled."""
        from wardlight_edge.sessions.lan import LanPort

        port, data_dir = self._ports[identity], self._settings.data_dir
        profile, entry = self._profiles[port.profile], self.board.entry(identity)
        listener = LanPort(identity, port, profile, self._gateway, entry, data_dir)
        self._supervision.has_all(identity)
        await listener.run()

    # -- what changes while it runs

    def _start_device(self, device: DeviceSettings) -> None:
        self._note_calibration(device)
        if device.identity.startswith("ble:") and self._settings.ble.enabled:
            begun = self._bluetooth.use(device.identity)
            if begun is not None:
                self._supervision.start("bluetooth", begun.run)
        self._supervision.start(device.identity, partial(self.serve, device.identity))

    def _note_calibration(self, device: DeviceSettings) -> None:
        due, entry = device.calibration_due, self.board.entry(device.identity)
        if due is not None or entry.calibration_due is not None:
            text = None if due is None else due.isoformat()
            self._news.put_device(device.identity, "calibration", {"due": text})
        entry.calibration_due = due

    def _note_bound(self, identity: str, serial_number: str | None) -> None:
        """From the session: a first use was the first, the next one compares."""
        device = self._devices[identity]
        self._devices[identity] = bound_to(device, serial_number)
        self._bound(identity, serial_number)

    # -- what a device needs

    def _profile(self, identity: str, name: str) -> Profile:
        profile = self._profiles.get(name)
        if profile is None:
            raise ConfigError(f"device {identity}: profile {name!r} is not loaded")
        return profile


def bound_to(device: DeviceSettings, serial_number: str | None) -> DeviceSettings:
    """The device after its first use."""
    return msgspec.structs.replace(device, bind="address", serial_number=serial_number)
