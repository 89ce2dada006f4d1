"""Collector processes on a real database and a broker, for tests that kill and stop them."""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from support.postgres import Template
from wardlight_cloud.config import BrokerSettings, DatabaseSettings, Settings, load
from wardlight_cloud.private_file import write_private
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.open import open_store
from wardlight_lab.supervise.process import ChildProcess

SettingsOf = Callable[[str], BrokerSettings]


async def build(dsn: str) -> None:
    """Fill a database with the schema."""
    await (await open_store(Settings(database=DatabaseSettings(dsn=SecretStr(dsn))))).close()


SCHEMA = Template("ingest", build)


class CollectorWorld:
    """One database, and collectors as processes."""

    def __init__(self, folder: Path, dsn: str, settings_of: SettingsOf) -> None:
        self.folder = folder
        self.dsn = dsn
        self._settings_of = settings_of
        self.collectors: dict[str, ChildProcess] = {}

    def config(self, name: str) -> Path:
        """Write the settings file of a collector."""
        broker = self._settings_of(name)
        file = self.folder / f"{name}.toml"
        lines = [
            f"data_dir = {json.dumps(str(self.folder))}",
            "[database]", f"dsn = {json.dumps(self.dsn)}",
            "[broker]", f"port = {broker.port}", f"ca_file = {json.dumps(str(broker.ca_file))}",
            f"cert_file = {json.dumps(str(broker.cert_file))}",
            f"key_file = {json.dumps(str(broker.key_file))}",
            "[collector]", f'name = "{name}"',
        ]  # fmt: skip
        write_private(file, "\n".join(lines) + "\n")
        return file

    def start(self, name: str, *arguments: str) -> None:
        """Start a collector; it waits for the database and the broker by itself."""
        command = [sys.executable, "-m", "wardlight_cloud", "collect", *arguments, "--config"]
        self.collectors[name] = ChildProcess.spawn(
            [*command, str(self.config(name))],
            env={},
            log_file=self.folder / f"{name}.log",
            death_signal=signal.SIGKILL,
        )

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self.collectors.pop(name)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait(30)

    async def stop(self) -> None:
        """SIGTERM to all, and wait."""
        for process in self.collectors.values():
            await process.stop(signal.SIGTERM, 30)

    async def shards(self) -> dict[str, int]:
        """Live leases by holder."""
        rows = await self.fetch(
            "SELECT holder, count(*) FROM shard_lease WHERE expires_at > now() GROUP BY holder"
        )
        return {row["holder"]: row["count"] for row in rows}

    async def rows(self) -> int:
        """Readings stored."""
        (row,) = await self.fetch("SELECT count(*) FROM reading")
        return int(row["count"])

    async def fetch(self, statement: str) -> Sequence[asyncpg.Record]:
        """Rows of a statement, on a connection of its own."""
        connection = await asyncpg.connect(self.dsn, timeout=180)
        try:
            return await connection.fetch(statement, timeout=180)
        finally:
            await connection.close(timeout=180)

    async def open_store(self) -> Store:
        """The store of this world."""
        return await open_store(load(self.config("collector-1")))

    async def execute(self, script: str) -> None:
        """Run statements, on a connection of its own."""
        connection = await asyncpg.connect(self.dsn, timeout=180)
        try:
            await connection.execute(script, timeout=180)
        finally:
            await connection.close(timeout=180)
