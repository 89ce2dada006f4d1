"""``wardlight demo``: all processes of Wardlight, one gateway and its emulated devices.

Everything lies in one data folder; a second start goes on with its data. Processes that die are
started again. The ready file names every address and process and is rewritten on each change.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wardlight_cloud.config import load as load_cloud
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.open import open_store
from wardlight_lab.broker import NatsServer
from wardlight_lab.demo import children, imaging, register, settings_files
from wardlight_lab.demo.facts import facts_of, welcome
from wardlight_lab.demo.folder import (
    COLLECTOR,
    GATEWAY,
    DemoFolder,
    Kept,
    keep,
    keep_bind_key,
)
from wardlight_lab.demo.ward import DemoDevice
from wardlight_lab.physiology.glucose import GlucoseUnavailableError
from wardlight_lab.supervise import (
    ChildStatus,
    StopRequested,
    Supervisor,
    postgres_child,
    write_ready_file,
)
from wardlight_shared.errors import ConfigError

_GLUCOSE_S: Final = 30.0
_PIDS: Final = ("gateway", "imaging", "broker", "collector", "api", "postgres")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line gave."""

    data_dir: Path
    ready_file: Path | None
    for_s: float | None
    http_port: int | None
    glucose: Path | None


class Demo:
    """One life of the demo."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder = DemoFolder(options.data_dir.absolute())
        self._facts: dict[str, Any] | None = None
        self._pids: dict[str, int | None] = dict.fromkeys(_PIDS)

    async def run(self) -> int:
        """Start all, wait, stop all; returns the exit code."""
        self._make_folder()
        is_ours = False
        try:
            async with AsyncExitStack() as stack:
                supervisor = await stack.enter_async_context(
                    Supervisor(self._folder.root, on_change=self._changed)
                )
                # Only now: the file of a demo that runs in this folder is not ours to remove.
                is_ours = True
                self._forget_ready_file()
                await self._start(supervisor, stack)
                _say("Press Ctrl-C to stop.")
                await supervisor.wait_for_stop(self._options.for_s)
                _say("Stopping ...")
        except StopRequested:
            _say("Stopped before it was ready.")
        finally:
            if is_ours:
                self._forget_ready_file()
        return 0

    def _make_folder(self) -> None:
        try:
            self._folder.make()
        except OSError as error:
            raise ConfigError(
                f"the data folder {self._folder.root} cannot be made ({error.strerror}); "
                "choose another one with --data-dir"
            ) from error

    def _forget_ready_file(self) -> None:
        """Whoever waits for the file must never find one of a life that is over."""
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)

    async def _start(self, supervisor: Supervisor, stack: AsyncExitStack) -> None:
        kept, remarks = keep(self._folder, http_port=self._options.http_port)
        for remark in remarks:
            _say(remark)
        _say("Starting PostgreSQL ...")
        server = EmbeddedPostgres(self._folder.postgres, tcp_port=None)
        await asyncio.to_thread(server.prepare)
        stack.callback(server.release)
        # The supervisor ends its children before this stack releases what they used.
        stack.push_async_exit(_children_of(supervisor))
        await supervisor.start(postgres_child(server))
        await self._broker(supervisor, kept)
        devices, environment = await self._devices(supervisor, stack)
        devices.append(await asyncio.to_thread(children.monitor_device, self._folder))
        await self._cloud(supervisor, kept, server.dsn, devices)
        await self._gateway(supervisor, kept, devices, environment)
        await supervisor.start(children.monitor(self._folder, kept.hl7_port).child)
        await supervisor.start(children.modality(self._folder, kept.dicom_port).child)
        self._ready(kept)

    async def _broker(self, supervisor: Supervisor, kept: Kept) -> None:
        _say("Starting the broker ...")
        self._authority = await asyncio.to_thread(CertificateAuthority.open, self._folder.pki)
        permissions = BrokerPermissions(gateways=[GATEWAY], collectors=[COLLECTOR])
        broker = NatsServer(self._folder.broker, self._authority, permissions, port=kept.mqtt_port)
        await asyncio.to_thread(broker.prepare)
        await supervisor.start(broker.child())

    async def _devices(
        self, supervisor: Supervisor, stack: AsyncExitStack
    ) -> tuple[list[DemoDevice], dict[str, str]]:
        """Start the emulated devices; returns them with the gateway's environment."""
        _say("Starting the emulated devices ...")
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardlight-")))
        stack.push_async_exit(_children_of(supervisor))
        serial = children.serial(self._folder)
        await supervisor.start(serial.child)
        devices = children.serial_devices(serial.ready_file)
        devices += await self._glucose()
        keep_bind_key(self._folder)
        if shutil.which("dbus-daemon") is None:
            _say("dbus-daemon is not installed: Bluetooth devices are absent (apt install dbus).")
            absent = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={short / 'no-bus'}"}
            return devices + children.absent_bluetooth_devices(self._folder), absent
        bluez = children.bluez(self._folder, short)
        await supervisor.start(bluez.child)
        ready = json.loads(bluez.ready_file.read_text(encoding="utf-8"))
        devices += children.bluetooth_devices(self._folder, bluez.ready_file)
        return devices, {"DBUS_SYSTEM_BUS_ADDRESS": ready["address"]}

    async def _glucose(self) -> list[DemoDevice]:
        """A person's recorded glucose; its wheel is fetched once, and the demo goes on without."""
        cache = self._options.glucose or self._folder.root / "recordings"
        cache.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.timeout(_GLUCOSE_S):
                return await asyncio.to_thread(children.glucose_devices, self._folder, cache)
        except (GlucoseUnavailableError, TimeoutError) as error:
            _say(f"No recorded glucose this time: {error or 'the download takes too long'}.")
            return []

    async def _cloud(
        self, supervisor: Supervisor, kept: Kept, dsn: str, devices: list[DemoDevice]
    ) -> None:
        _say("Starting collector and API ...")
        credentials = self._authority.ensure_client(COLLECTOR, Role.COLLECTOR)
        settings_files.write(
            self._folder.cloud_toml,
            settings_files.cloud_settings(
                COLLECTOR,
                self._folder.root,
                dsn,
                kept.mqtt_port,
                kept.http_port,
                credentials,
                kept.query_port,
            ),
        )
        store = await open_store(load_cloud(self._folder.cloud_toml))
        try:
            await register.fill(store, kept, devices)
            await imaging.fill(store)
        finally:
            await store.close()
        await supervisor.start(children.collector(self._folder))
        await supervisor.start(children.api(self._folder, kept.http_port))
        await supervisor.start(children.query(self._folder, kept.query_port))

    async def _gateway(
        self,
        supervisor: Supervisor,
        kept: Kept,
        devices: list[DemoDevice],
        environment: dict[str, str],
    ) -> None:
        _say("Starting the gateway ...")
        credentials = self._authority.ensure_client(GATEWAY, Role.GATEWAY)
        settings_files.write(
            self._folder.edge_toml,
            settings_files.gateway_settings(
                GATEWAY,
                kept.mqtt_port,
                credentials,
                devices,
                ["hci0"],
                hl7_port=kept.hl7_port,
                dicom_port=kept.dicom_port,
            ),
        )
        await supervisor.start(children.gateway(self._folder, environment))
        await supervisor.start(children.imaging(self._folder, kept.dicom_port))

    def _ready(self, kept: Kept) -> None:
        self._facts = facts_of(self._folder, kept)
        self._write_ready()
        _say(welcome(self._folder, self._facts))

    def _changed(self, status: Mapping[str, ChildStatus]) -> None:
        for name in _PIDS:
            self._pids[name] = status[name].pid if name in status else None
        self._write_ready()

    def _write_ready(self) -> None:
        if self._facts is not None and self._options.ready_file is not None:
            facts = {**self._facts, "pids": dict(self._pids)}
            write_ready_file(self._options.ready_file.absolute(), facts)


def _children_of(supervisor: Supervisor) -> Any:
    """An exit callback that stops the running children before older callbacks run."""

    async def stop(*_: object) -> None:
        for name in reversed(list(supervisor.status())):
            await supervisor.stop(name)

    return stop


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
