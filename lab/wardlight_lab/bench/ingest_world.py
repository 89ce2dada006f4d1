"""The world of the ingest measurement: PostgreSQL, broker and collector as real processes.

All durable (fsync on), TLS with client certificates everywhere, in one folder on the measured disk.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
import psutil

from wardlight_cloud.config import load as load_cloud
from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.open import open_store
from wardlight_lab.broker import NatsServer
from wardlight_lab.demo.settings_files import cloud_settings, gateway_settings
from wardlight_lab.supervise.process import ChildProcess
from wardlight_shared.errors import TransportError

COLLECTOR: Final = "collector-bench"
_ANSWER_S: Final = 3600.0
_STOP_S: Final = 30.0
_STATEMENT_S: Final = 600.0
_COPY_HEADER: Final = 19  # PostgreSQL, COPY, "Binary Format": signature, flags, extension
_COPY_TRAILER: Final = b"\xff\xff"


class GatewayProcess:
    """One gateway with its backlog, told over pipes; see ingest_gateway."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def answer(self) -> dict[str, Any]:
        """The next line it says; TransportError when it died instead."""
        if self._process.stdout is None:
            raise TransportError("the gateway has no output")
        async with asyncio.timeout(_ANSWER_S):
            line = await self._process.stdout.readline()
        if not line:
            raise TransportError(f"the gateway ended with {await self._process.wait()}")
        facts: dict[str, Any] = json.loads(line)
        return facts

    def go(self) -> None:
        """Let it drain."""
        if self._process.stdin is not None:
            self._process.stdin.write(b"go\n")

    async def end(self) -> None:
        """Wait for its end."""
        async with asyncio.timeout(_STOP_S):
            await self._process.wait()


class IngestWorld:
    """``async with IngestWorld(folder, gateways) as world``."""

    def __init__(self, folder: Path, gateways: list[str]) -> None:
        self._folder = folder.absolute()
        self._gateways = gateways
        self._stack = AsyncExitStack()
        self._pids: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        server = EmbeddedPostgres(self._folder / "postgres")
        await self._stack.enter_async_context(server)
        self.dsn = server.dsn
        self._authority = await asyncio.to_thread(CertificateAuthority.open, self._folder / "pki")
        permissions = BrokerPermissions(gateways=self._gateways, collectors=[COLLECTOR])
        self._broker = NatsServer(self._folder / "broker", self._authority, permissions)
        await self._stack.enter_async_context(self._broker)
        config = self._folder / "cloud.toml"
        credentials = self._authority.ensure_client(COLLECTOR, Role.COLLECTOR)
        port = self._broker.port
        text = cloud_settings(COLLECTOR, self._folder, self.dsn, port, 0, credentials)
        write_private(config, text)
        store = await open_store(load_cloud(config))
        for gateway in self._gateways:
            await store.put_gateway(gateway)
        await store.close()
        collector = ChildProcess.spawn(
            [sys.executable, "-m", "wardlight_cloud", "collect", "--config", str(config)],
            env={},
            log_file=self._folder / "collector.log",
            death_signal=signal.SIGKILL,
        )
        self._stack.push_async_callback(collector.stop, signal.SIGTERM, _STOP_S)
        self._pids = {
            "postgres": server.pid or 0,
            "broker": self._broker.pid or 0,
            "collector": collector.pid,
        }

    async def gateway(self, name: str, *arguments: str) -> GatewayProcess:
        """Start a gateway's process; it begins to fill its outbox."""
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        credentials = self._authority.ensure_client(name, Role.GATEWAY)
        config = folder / "edge.toml"
        write_private(config, gateway_settings(name, self._broker.port, credentials, [], []))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wardlight_lab.bench.ingest_gateway", "--config", str(config),
            *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._stack.callback(_kill, process)
        return GatewayProcess(process)

    def cpu_s(self, gateway: GatewayProcess) -> dict[str, float]:
        """Seconds of processor each part has used, with its children."""
        pids: Mapping[str, int] = {**self._pids, "gateway": gateway.pid}
        return {name: _cpu_s(pid) for name, pid in pids.items()}

    async def rows(self) -> int:
        """Readings in the store."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM reading"))
        finally:
            await connection.close()

    async def copy_again(self, chunk_rows: int) -> float:
        """Empty the table and COPY its rows back in, one transaction a chunk: rows a second."""
        connection = await asyncpg.connect(self.dsn, command_timeout=_STATEMENT_S)
        try:
            whole = BytesIO()
            status = await connection.copy_from_query(
                "SELECT * FROM reading ORDER BY commit_seq, series_id, time, ord",
                output=whole, format="binary",
            )  # fmt: skip
            rows = int(status.rpartition(" ")[2])
            await connection.execute("TRUNCATE reading")
            chunks = _chunks(whole.getvalue(), rows, chunk_rows)
            started = asyncio.get_running_loop().time()
            for chunk in chunks:
                await connection.copy_to_table("reading", source=BytesIO(chunk), format="binary")
            return rows / (asyncio.get_running_loop().time() - started)
        finally:
            await connection.close()


def _chunks(stream: bytes, rows: int, chunk_rows: int) -> list[bytes]:
    """A binary COPY stream of rows of one length as several."""
    head, body = stream[:_COPY_HEADER], stream[_COPY_HEADER:-2]
    size = len(body) // rows * chunk_rows
    return [
        head + body[start : start + size] + _COPY_TRAILER for start in range(0, len(body), size)
    ]


def _cpu_s(pid: int) -> float:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    times = [each.cpu_times() for each in family]
    # Children that have ended are counted in their parent.
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
