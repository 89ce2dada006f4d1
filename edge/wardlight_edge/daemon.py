"""Composition root of the gateway: builds everything, runs it in one task group, stops it in order.

Stopping: devices first (open stream blocks go into the outbox), then the uplink sends for a bounded
time, then the outbox closes. What was not sent stays in the outbox.
"""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from wardlight_edge import profiles
from wardlight_edge.clock import Clock, SystemClock
from wardlight_edge.config import Settings, profile_names
from wardlight_edge.health import Snapshot, health_body
from wardlight_edge.outbox.base import NewRecord, Outbox
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.sd_notify import SystemdNotifier
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.snapshots import SnapshotSource
from wardlight_edge.status.server import StatusServer
from wardlight_edge.uplink.uplink import Uplink
from wardlight_shared.errors import ConfigError, StorageError
from wardlight_shared.records import Lane, encode_body

_log = logging.getLogger(__name__)
_TICK_S: Final = 1.0
DEVICES_STOP_S: Final = 25.0


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    asyncio.run(serve(settings, SystemClock()))
    return 0


async def serve(settings: Settings, clock: Clock) -> None:
    """One life of the gateway."""
    _make_folder(settings.data_dir)
    stop = _stop_event()
    key = read_or_make(settings.key_file or settings.data_dir / "outbox.key")
    found = profiles.load(settings.profiles_dir, profile_names(settings))
    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(open_outbox(settings, clock, key))
        uplink = Uplink(settings.uplink, settings.gateway, outbox, clock)
        await stack.enter_async_context(uplink)
        devices = DeviceRunner(
            settings, found, outbox, clock, lambda: uplink.live_until_ms, key=key
        )
        source = SnapshotSource(settings, clock, outbox, uplink, devices.board)
        await stack.enter_async_context(
            StatusServer(settings.status, settings.data_dir, source.snapshot, devices.repair)
        )
        running = asyncio.create_task(devices.run(), name="devices")
        beating = asyncio.create_task(
            _beat(settings, clock, outbox, source), name="health and watchdog"
        )
        await _until_stopped(stop, running, beating, uplink.task)
        _log.info("stopping")


def _make_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"data_dir: {data_dir} cannot be made ({error.strerror}); "
            "make it yourself and give it to the account of the gateway"
        ) from error


def open_outbox(settings: Settings, clock: Clock, key: bytes) -> SqliteOutbox:
    """The outbox of these settings."""
    return SqliteOutbox(
        settings.data_dir / "outbox.sqlite",
        key,
        settings.outbox,
        clock,
        live_age_ms=int(settings.uplink.live_age_s * 1000),
    )


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until_stopped(
    stop: asyncio.Event,
    devices: asyncio.Task[None],
    beating: asyncio.Task[None],
    uplink: asyncio.Task[None],
) -> None:
    """Wait for the stop; a part that ends by itself is a fault and ends the process."""
    waiting = asyncio.create_task(stop.wait(), name="stop asked for")
    parts: list[asyncio.Task[Any]] = [devices, beating, uplink, waiting]
    await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    SystemdNotifier().stopping()
    for task in (waiting, beating, devices):
        task.cancel()
    # Devices end by themselves in bounded time: their last blocks go into the outbox.
    await asyncio.wait({devices, beating}, timeout=DEVICES_STOP_S)
    for task in (devices, beating, uplink):
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
