"""The product's processes around a measurement: PostgreSQL, broker with TLS, collector, API.

    async with Site(folder, gateways=["gw-1"]) as site:
        await site.start_database()
        await site.start_broker()
        await site.start_collector()

Everything is as in production: fsync and synchronous_commit on, TLS with client certificates,
one process each. The children end with the site.
"""

import asyncio
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from wardlight_cloud.config import load as load_cloud
from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_cloud.store.open import open_store
from wardlight_lab.broker import NatsServer
from wardlight_lab.demo import children
from wardlight_lab.demo.folder import DemoFolder
from wardlight_lab.demo.settings_files import cloud_settings, gateway_settings
from wardlight_lab.demo.ward import DemoDevice
from wardlight_lab.supervise import Child, Supervisor, postgres_child

COLLECTOR: Final = "collector-bench"
WITHOUT_KEEPING: Final = "api that keeps nothing"
# One client asks as fast as it can: what it may ask for is not what is measured.
_UNLIMITED: Final = "\n[fhir]\nrequests_per_s = 0\nbytes_per_s = 0\n"


class Site:
    """One data folder with its processes; each ``start_`` returns when the process serves."""

    def __init__(self, folder: Path, *, gateways: Sequence[str] = ()) -> None:
        self.folder = DemoFolder(folder.absolute())
        self.supervisor = Supervisor(self.folder.root, handle_signals=False)
        self._gateways = tuple(gateways)
        self._stack = AsyncExitStack()
        self._http_port = free_loopback_port()

    async def __aenter__(self) -> Self:
        self.folder.make()
        self._server = EmbeddedPostgres(self.folder.postgres)
        self._authority = await asyncio.to_thread(CertificateAuthority.open, self.folder.pki)
        permissions = BrokerPermissions(gateways=self._gateways, collectors=[COLLECTOR])
        self._broker = NatsServer(self.folder.broker, self._authority, permissions)
        # The supervisor is entered last, so that its children end before their folders go.
        self._stack.callback(self._server.release)
        await self._stack.enter_async_context(self.supervisor)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def dsn(self) -> str:
        """The database's address."""
        return self._server.dsn

    @property
    def http_port(self) -> int:
        """The API's port on 127.0.0.1."""
        return self._http_port

    @property
    def export_folder(self) -> Path:
        """Where the API writes files of exports."""
        return load_cloud(self.folder.cloud_toml).data_dir / "exports"

    async def start_database(self) -> None:
        """PostgreSQL, durable."""
        await asyncio.to_thread(self._server.prepare)
        await self.supervisor.start(postgres_child(self._server))

    async def start_broker(self) -> None:
        """nats-server with TLS, client certificates and permissions."""
        await asyncio.to_thread(self._broker.prepare)
        await self.supervisor.start(self._broker.child())

    async def open_store(self) -> Store:
        """The store of collector and API, with the gateways in its register."""
        credentials = self._authority.ensure_client(COLLECTOR, Role.COLLECTOR)
        text = cloud_settings(
            COLLECTOR, self.folder.root, self.dsn, self._broker.port, self._http_port, credentials
        )
        write_private(self.folder.cloud_toml, text + _UNLIMITED)
        store = await open_store(load_cloud(self.folder.cloud_toml))
        for gateway in self._gateways:
            await store.put_gateway(gateway)
        return store

    async def start_collector(self) -> None:
        """``wardlight-cloud collect``; after ``open_store``."""
        await self.supervisor.start(children.collector(self.folder))

    async def start_api(self) -> None:
        """``wardlight-cloud serve``; after ``open_store``."""
        await self.supervisor.start(children.api(self.folder, self._http_port))

    async def start_api_without_keeping(self) -> int:
        """Another one, for which days of Observations are written anew each time; its port."""
        port = free_loopback_port()
        environment = {"WARDLIGHT_FHIR__KEEP_DAYS": "false", "WARDLIGHT_HTTP__PORT": str(port)}
        child = children.api(self.folder, port)
        await self.supervisor.start(
            dataclasses.replace(child, name=WITHOUT_KEEPING, env=environment)
        )
        return port

    def gateway_toml(
        self,
        gateway: str,
        devices: Sequence[DemoDevice] = (),
        adapters: Sequence[str] = (),
    ) -> Path:
        """Write the settings of a gateway in a folder of its own."""
        folder = self.folder.root / gateway
        folder.mkdir(mode=0o700, exist_ok=True)
        credentials = self._authority.ensure_client(gateway, Role.GATEWAY)
        text = gateway_settings(gateway, self._broker.port, credentials, devices, adapters)
        write_private(folder / "edge.toml", text)
        return folder / "edge.toml"

    async def start(self, child: Child) -> int:
        """Start another process of the site; its process id once it is ready."""
        await self.supervisor.start(child)
        pid = self.supervisor.pids()[child.name]
        if pid is None:
            raise ProcessLookupError(f"{child.name} has ended; see {self.log_of(child.name)}")
        return pid

    def log_of(self, name: str) -> Path:
        """Where a process writes."""
        return self.supervisor.log_file(name)

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU each process and its children have used so far."""
        return {
            name: _cpu_s(pid) for name, pid in self.supervisor.pids().items() if pid is not None
        }


def module(name: str, *arguments: str | float | Path) -> list[str]:
    """A command that runs a module of this environment."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two calls of ``Site.cpu_s``."""
    return {name: round(after[name] - before.get(name, 0.0), 2) for name in after}


def _cpu_s(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        # Sessions that have ended meanwhile are counted by the parent that collected them.
        total += times.children_user + times.children_system
    return total
