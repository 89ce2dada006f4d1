"""PostgreSQL and the broker under a supervisor: killed, back, at the same address."""

import asyncio
from pathlib import Path

import asyncpg

from support.waiting import wait_until
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.embedded.processes import is_running
from wardlight_lab.broker import NatsServer
from wardlight_lab.supervise import State, Supervisor, postgres_child


async def back(supervisor: Supervisor, name: str, killed: int) -> None:
    await wait_until(
        lambda: (
            supervisor.pids()[name] not in {None, killed}
            and supervisor.status()[name].state is State.READY
        )
    )


async def test_postgres_keeps_its_data_and_its_address(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "database", durable=False)
    await asyncio.to_thread(server.prepare)
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(postgres_child(server))
        dsn = server.dsn
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        killed = supervisor.kill("postgres")
        assert killed is not None
        connection.terminate()
        await back(supervisor, "postgres", killed)
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT number FROM kept") == 42
        await connection.close()
        last = supervisor.pids()["postgres"]
    server.release()
    assert last is not None
    assert not is_running(last)
    assert not server.data_dir.joinpath("postgres.socket").exists()


async def test_the_broker_keeps_its_port_and_its_reload(tmp_path: Path) -> None:
    authority = CertificateAuthority.open(tmp_path / "authority")
    broker = NatsServer(tmp_path / "broker", authority, BrokerPermissions())
    await asyncio.to_thread(broker.prepare)
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(broker.child())
        assert broker.pid == supervisor.pids()["broker"]
        killed = supervisor.kill("broker")
        assert killed is not None
        await back(supervisor, "broker", killed)
        assert broker.pid == supervisor.pids()["broker"]
        assert await broker.is_ready()
        await broker.reload(BrokerPermissions(gateways=["gw-new"]))
        log = supervisor.log_file("broker")
        await wait_until(lambda: "Reloaded server configuration" in log.read_text())
    assert broker.pid is None
