"""Composition root of the gateway: builds everything, runs it in one task group, stops it in order.

Stopping: devices first (open stream blocks go into the outbox), then the uplink sends for a bounded
time, then the outbox closes. What was not sent stays in the outbox.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wardlight_edge import profiles
from wardlight_edge.clock import Clock, SystemClock
from wardlight_edge.config import Settings, profile_names
from wardlight_edge.enrolment import register
from wardlight_edge.enrolment.commands import commands_of
from wardlight_edge.enrolment.desk import PairingDesk
from wardlight_edge.enrolment.register import Register
from wardlight_edge.enrolment.service import Enrolment
from wardlight_edge.health import Snapshot, health_body
from wardlight_edge.outbox.base import NewRecord, Outbox
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.outbox.quota import check_reserve
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.sd_notify import SystemdNotifier
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.snapshots import Enrolled, SnapshotSource
from wardlight_edge.status.server import StatusServer
from wardlight_edge.uplink.uplink import Uplink
from wardlight_shared.errors import ConfigError, StorageError
from wardlight_shared.records import Lane, encode_body

if TYPE_CHECKING:
    from wardlight_edge.spool.base import SendingSpool

_log = logging.getLogger(__name__)
_TICK_S: Final = 1.0
DEVICES_STOP_S: Final = 25.0
_REGISTER_S: Final = 5.0  # a command that enrols without a gateway is through sooner


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    asyncio.run(serve(settings, SystemClock()))
    return 0


async def serve(settings: Settings, clock: Clock) -> None:
    """One life of the gateway."""
    _make_folder(settings.data_dir)
    stop = _stop_event()
    key = read_or_make(settings.key_file or settings.data_dir / "outbox.key")
    async with AsyncExitStack() as stack:
        known = stack.enter_context(_register(settings))
        settings = msgspec.structs.replace(settings, devices=known.devices)
        found = profiles.load(settings.profiles_dir, profile_names(settings))
        outbox = await stack.enter_async_context(open_outbox(settings, clock, key))
        spool = partial(open_spool, settings.data_dir, key)
        uplink = Uplink(settings.uplink, settings.gateway, outbox, clock, open_spool=spool)
        await stack.enter_async_context(uplink)
        desk = PairingDesk(clock)
        devices = DeviceRunner(
            settings, found, outbox, clock, lambda: uplink.live_until_ms, key=key, operator=desk,
            bound=lambda *bound: enrolment.note_bound(*bound),
        )  # fmt: skip
        desk.changed = devices.operator_changed
        enrolment = Enrolment(known, devices, desk, settings.profiles_dir)
        source = SnapshotSource(
            settings, clock, outbox, uplink, devices.board, _enrolled(known, devices)
        )
        commands = commands_of(enrolment, desk, devices.overheard)
        await stack.enter_async_context(
            StatusServer(settings.status, settings.data_dir, source.snapshot, commands)
        )
        parts: list[asyncio.Task[Any]] = [
            asyncio.create_task(devices.run(), name="devices"),
            asyncio.create_task(enrolment.run(), name="enrolment"),
            asyncio.create_task(_beat(settings, clock, outbox, source), name="health and watchdog"),
        ]
        await _until_stopped(stop, parts, uplink.task)
        _log.info("stopping")


@contextmanager
def _register(settings: Settings) -> Iterator[Register]:
    """The devices, which nobody else changes meanwhile."""
    try:
        with register.held(settings.data_dir, wait_s=_REGISTER_S):
            yield Register.read(settings)
    except register.RegisterBusyError as error:
        raise StorageError(f"{settings.data_dir}: another gateway uses this folder") from error


def _enrolled(known: Register, devices: DeviceRunner) -> Callable[[str], Enrolled]:
    def of(identity: str) -> Enrolled:
        device = devices.devices.get(identity)
        if device is None or not identity.startswith("ble:"):
            return Enrolled(known.origin(identity).value)
        bond = devices.bond_of(identity) or "" if devices.needs_bond(device) else None
        knows_serial = device.serial_number is not None
        return Enrolled(known.origin(identity).value, bond, knows_serial)

    return of


def _make_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"data_dir: {data_dir} cannot be made ({error.strerror}); "
            "make it yourself and give it to the account of the gateway"
        ) from error


def open_outbox(settings: Settings, clock: Clock, key: bytes) -> SqliteOutbox:
    """The outbox of these settings; ConfigError when its disk is too small for them."""
    check_reserve(settings.outbox, settings.data_dir)
    return SqliteOutbox(
        settings.data_dir / "outbox.sqlite",
        key,
        settings.outbox,
        clock,
        live_age_ms=int(settings.uplink.live_age_s * 1000),
    )


def open_spool(data_dir: Path, key: bytes) -> "SendingSpool | None":
    """The spool that the imaging process has made; None while there is none."""
    if not (data_dir / "dicom" / "spool.sqlite").exists():
        return None
    # Late: a gateway without imaging pays nothing for it.
    from wardlight_edge.spool.opening import open_sending

    return open_sending(data_dir, key)


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until_stopped(
    stop: asyncio.Event, own: list[asyncio.Task[Any]], uplink: asyncio.Task[None]
) -> None:
    """Wait for the stop; a part that ends by itself is a fault and ends the process."""
    waiting = asyncio.create_task(stop.wait(), name="stop asked for")
    await asyncio.wait([*own, uplink, waiting], return_when=asyncio.FIRST_COMPLETED)
    SystemdNotifier().stopping()
    for task in (waiting, *own):
        task.cancel()
    # Devices end by themselves in bounded time: their last blocks go into the outbox.
    await asyncio.wait(own, timeout=DEVICES_STOP_S)
    for task in (*own, uplink):
        if task.done() and not task.cancelled():
            task.result()


async def _beat(settings: Settings, clock: Clock, outbox: Outbox, source: SnapshotSource) -> None:
    """Feed the watchdog while outbox and loop are healthy; write the health record now and then.

    The outbox proves its health by committing: the watchdog is fed after a health record, and in
    between while the last one was accepted. One that was not is tried again with each beat.
    """
    notifier = SystemdNotifier()
    snapshot = source.snapshot()
    notifier.ready(_sentence(snapshot))
    next_health_ms = clock.mono_ms()
    is_healthy = True
    while True:
        if clock.mono_ms() >= next_health_ms or not is_healthy:
            next_health_ms = clock.mono_ms() + int(settings.health_s * 1000)
            is_healthy = await _write_health(clock, outbox, source.snapshot())
        if is_healthy:
            notifier.alive(_sentence(source.snapshot()))
        await asyncio.sleep(min(_TICK_S, notifier.watchdog_interval_s or _TICK_S))


async def _write_health(clock: Clock, outbox: Outbox, snapshot: Snapshot) -> bool:
    body = encode_body(health_body(snapshot))
    record = NewRecord(Lane.LIVE, None, clock.mono_ms(), clock.wall_ms(), body)
    try:
        await outbox.append([record])
    except StorageError:
        # A full outbox is not an unhealthy process: restarting would not help. It is shown.
        _log.warning("the health record was not accepted")
        return snapshot.outbox.level.value == "full"
    return True


def _sentence(snapshot: Snapshot) -> str:
    if snapshot.trouble:
        return snapshot.trouble[0]
    return f"{len(snapshot.devices)} devices, {snapshot.outbox.records} records waiting"
