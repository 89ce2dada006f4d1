"""All devices of a gateway: one supervised task each, one for Bluetooth, and the board they write.

A device that ends by a fault is started again with growing pauses, the others never notice. What a
gateway has no device for (Bluetooth, serial lines) is not even imported.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from wardlight_edge import devices
from wardlight_edge.backoff import Backoff
from wardlight_edge.clock import Clock
from wardlight_edge.config import DeviceSettings, Settings
from wardlight_edge.outbox.base import NewRecord, Outbox
from wardlight_edge.sessions.advert_memory import AdvertMemories
from wardlight_edge.sessions.advert_session import AdvertSession, is_advertising
from wardlight_edge.sessions.bluetooth import Bluetooth
from wardlight_edge.sessions.board import DeviceBoard
from wardlight_edge.sessions.bookmarks import Shelf
from wardlight_edge.sessions.decoding import SERIAL_NUMBER
from wardlight_edge.sessions.device_clock import is_after_release
from wardlight_edge.sessions.fitting import check_device
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.lan import LanPort, check_port, ports_of
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.radio_news import RadioNews
from wardlight_edge.sessions.removal import give_up
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.session import Session
from wardlight_edge.sessions.waiting_room import Vault
from wardlight_edge.transports.base import Transport
from wardlight_edge.transports.esphome_key import check_proxies
from wardlight_edge.transports.switched_off import SwitchedOff
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile

if TYPE_CHECKING:
    from wardlight_edge.transports.ble_agent import Operator

STOP_S = 20.0  # BlueZ takes 3 s for a disconnect, a busy disk its time for the last block
LONGEST_PAUSE_S = 60.0
_logger = logging.getLogger(__name__)


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
        self._open_streams = OpenStreams(data_dir / "streams.json", clock.boot_id)
        sealer = None if key is None else Sealer(key)
        self._gateway = Gateway(
            outbox=outbox,
            clock=clock,
            quarantine=Quarantine(data_dir / "quarantine", None if sealer is None else sealer.seal),
            adverts=None
            if sealer is None
            else AdvertMemories(data_dir / "adverts", sealer.seal, sealer.open_sealed),
            vault=None
            if sealer is None
            else Vault(data_dir / "waiting", sealer.seal, sealer.open_sealed),
            shelf=None
            if sealer is None
            else Shelf(data_dir / "bookmarks", sealer.seal, sealer.open_sealed),
            open_streams=self._open_streams,
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
        self._transports: dict[str, Transport] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._left: dict[str, list[NewRecord]] = {}
        for device in settings.devices:
            check_device(device, self.profile_of(device))
        for identity, port in self._ports.items():
            check_port(identity, self._profile(identity, port.profile))
        check_proxies(settings.ble)

    async def run(self) -> None:
        """Run until cancelled; what was received by then is in the outbox when this returns."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._start("news", self._news.run)
                for identity in self._ports:
                    self._start(identity, _Listening(self, identity))
                for device in tuple(self._devices.values()):
                    self._start_device(device)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._open_streams.close()

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
        self._profiles[device.profile] = profile
        self._devices[device.identity] = device
        self.board.add(device.identity, device.profile)
        if self._group is not None:
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
        task = self._tasks.pop(identity, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._devices.pop(identity, None)
        self._transports.pop(identity, None)
        self.board.remove(identity)
        self._open_streams.forget(identity)
        self._news.put_device(identity, "link", {"state": "removed", "reason": None})
        if self._left.get(identity):
            await self._gateway.outbox.append(self._left[identity])
        self._left.pop(identity, None)
        return await give_up(identity, self._gateway)

    async def forget_bond(self, identity: str) -> None:
        """Drop the bond of a removed device. TransportError: BlueZ cannot be asked now."""
        await self._bluetooth.forget(identity)

    def operator_changed(self) -> None:
        """An operator has come or gone."""
        self._bluetooth.operator_changed()

    async def repair(self, identity: str) -> None:
        """An operator repairs a BLE device's bond. ConfigError: no such device, or not BLE."""
        repair = getattr(self._transports.get(identity), "repair", None)
        if repair is None and identity in self._devices and not self._settings.ble.enabled:
            raise ConfigError("Bluetooth is switched off in the settings ([ble] enabled)")
        if repair is None:
            raise ConfigError(f"{identity}: not a Bluetooth device of this gateway")
        await repair()

    async def serve(self, identity: str) -> None:
        """One device until cancelled; raises what a fault raises."""
        device = self._devices[identity]
        profile = self._profiles[device.profile]
        if device.port is not None and devices.is_conversing(profile.decoder):
            from wardlight_edge.sessions.serial_line import ConversingLine

            entry, data_dir = self.board.entry(device.identity), self._settings.data_dir
            await ConversingLine(device, profile, self._gateway, entry, data_dir).run()
            return
        kind = AdvertSession if is_advertising(device, profile) else Session
        entry, left = self.board.entry(identity), self._left.get(identity, ())
        session = kind(device, profile, self._gateway, entry, left)
        transport = self._transport(device, session)
        self._transports[device.identity] = transport
        name = device.identity
        consumer = asyncio.create_task(session.run(transport), name=f"session {name}")
        bringer = asyncio.create_task(transport.run(session.inbox), name=f"transport {name}")
        try:
            await asyncio.wait({consumer, bringer}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            bringer.cancel()
            await asyncio.wait({bringer})
            session.inbox.close()
            await asyncio.wait({consumer}, timeout=STOP_S)
            consumer.cancel()
            await asyncio.wait({consumer})
            self._left[identity] = session.left
        for task in (consumer, bringer):
            if not task.cancelled():
                task.result()

    async def listen(self, identity: str) -> None:
        """One LAN port until cancelled."""
        port, data_dir = self._ports[identity], self._settings.data_dir
        profile, entry = self._profiles[port.profile], self.board.entry(identity)
        await LanPort(identity, port, profile, self._gateway, entry, data_dir).run()

    async def _supervise(self, name: str, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
        backoff = Backoff(1.0, LONGEST_PAUSE_S)
        while True:
            try:
                await start()
            except Exception:
                _logger.exception("task ended by a fault", extra={"task": name})
                self._note_fault(name)
            await asyncio.sleep(backoff.failed())

    def _note_fault(self, name: str) -> None:
        if name in self.board:
            entry = self.board.entry(name)
            entry.count("restarts")
            reason = "its task ended by a fault and is started again; see the log"
            entry.set_state("failed", reason, self._clock.wall_ms())

    # -- what changes while it runs

    def _start(self, name: str, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._group is None:
            raise RuntimeError("the runner does not run")
        self._tasks[name] = self._group.create_task(self._supervise(name, start), name=name)

    def _start_device(self, device: DeviceSettings) -> None:
        self._note_calibration(device)
        if device.identity.startswith("ble:") and self._settings.ble.enabled:
            begun = self._bluetooth.use(device.identity)
            if begun is not None:
                self._start("bluetooth", begun.run)
        self._start(device.identity, _Serving(self, device.identity))

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

    def _transport(self, device: DeviceSettings, session: Session | AdvertSession) -> Transport:
        profile, identity = self._profiles[device.profile], device.identity
        if device.file is not None and identity.startswith("replay:"):
            from wardlight_edge.transports.replay import ReplayTransport

            state = self._settings.data_dir / "replay" / f"{identity.removeprefix('replay:')}.json"
            return ReplayTransport(identity, device.file, device.speed, state, self._clock)
        if device.port is not None and identity.startswith("serial:"):
            from wardlight_edge.transports.serial import SerialTransport

            return SerialTransport(identity, device.port, profile, self._clock)
        stack = self._bluetooth.stack
        if stack is None:
            return SwitchedOff(self._clock)
        if isinstance(session, AdvertSession):
            from wardlight_edge.transports.ble_adverts import AdvertTransport

            kinds, silence_s = session.kinds, session.silence_s
            return AdvertTransport(identity, kinds, silence_s, stack, self._clock)
        from wardlight_edge.transports.ble_device import BleTransport

        is_bound = device.serial_number is not None or device.bind == "first-use"
        must_read = (SERIAL_NUMBER,) if is_bound else ()
        return BleTransport(
            identity,
            profile,
            stack,
            session.device_clock,
            self._clock,
            must_read=must_read,
            is_unknown=lambda: self._devices[identity].bind == "first-use",
        )


def bound_to(device: DeviceSettings, serial_number: str | None) -> DeviceSettings:
    """The device after its first use."""
    return msgspec.structs.replace(device, bind="address", serial_number=serial_number)


class _Serving:
    """``serve`` for one device, as a thing to start again."""

    def __init__(self, runner: DeviceRunner, identity: str) -> None:
        self._runner = runner
        self._identity = identity

    async def __call__(self) -> None:
        await self._runner.serve(self._identity)


class _Listening:
    """``listen`` at one port, as a thing to start again."""

    def __init__(self, runner: DeviceRunner, identity: str) -> None:
        self._runner = runner
        self._identity = identity

    async def __call__(self) -> None:
        await self._runner.listen(self._identity)
