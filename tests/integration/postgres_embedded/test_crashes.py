"""A crash of the server or of its owner costs nothing committed and blocks no later start."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from support.waiting import wait_until, wait_until_sync
from wardlight_cloud.store.embedded import EmbeddedPostgres, PostgresInUse, remains
from wardlight_cloud.store.embedded import server as server_module
from wardlight_cloud.store.embedded.processes import is_running, servers_working_in
from wardlight_cloud.store.embedded.settings import server_arguments

OWNER = """
import sys, time
from pathlib import Path
from wardlight_cloud.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, server.dsn, flush=True)
time.sleep(600)
"""


async def insert(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    await connection.close()


async def count(dsn: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT count(*) FROM kept")
    finally:
        await connection.close()


def pid_of(server: EmbeddedPostgres) -> int:
    assert server.pid is not None
    return server.pid


@contextmanager
def bare_server(steps: EmbeddedPostgres, mark: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """A server of the same cluster that nothing ties to its owner, as after a kill -9 elsewhere."""
    arguments = server_arguments(
        cluster=steps.cluster_folder,
        socket_folder=steps.socket_folder,
        port=5432,
        tcp=False,
        durable=False,
    )
    if not mark:
        arguments = [text.replace("cluster_name=wardlight", "cluster_name=x") for text in arguments]
    placement = steps.placement
    program = str(placement.binaries.path("postgres"))
    command = [*placement.identity.prefix, program, *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/") as process:
        wait_until_sync(steps.is_serving)
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def prepared(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster that was made and has no server."""
    steps = EmbeddedPostgres(data_dir, durable=False)
    steps.prepare()
    yield steps
    steps.release()


async def test_kill_9_of_the_server_keeps_what_was_committed(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        await insert(server.dsn)
        server.kill()
        assert server.pid is None
        await asyncio.to_thread(server.before_start)
    async with EmbeddedPostgres(data_dir) as server:
        assert await count(server.dsn) == 1


async def test_keep_running_brings_the_server_back_at_the_same_address(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as server, asyncio.TaskGroup() as group:
        keeper = group.create_task(server.keep_running(), name="postgres keeper")
        for expected in (1, 2):
            await insert(server.dsn)
            first = pid_of(server)
            os.kill(first, signal.SIGKILL)
            await wait_until(partial(_is_another, server, first))
            await wait_until(server.is_serving)
            assert await count(server.dsn) == expected
        keeper.cancel()


def test_kill_9_of_the_owner_stops_the_server_and_a_new_owner_continues(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, dsn = owner.stdout.readline().split()
        asyncio.run(insert(dsn))
        sockets = next(Path(line) for line in (data_dir / "postgres.socket").read_text().split())
        owner.kill()
    wait_until_sync(lambda: not is_running(int(pid)), what="the server ends after its owner")
    with EmbeddedPostgres(data_dir) as server:
        assert asyncio.run(count(server.dsn)) == 1
        assert not sockets.exists()


def test_a_server_without_owner_is_stopped_first(prepared: EmbeddedPostgres) -> None:
    with bare_server(prepared) as orphan:
        prepared.start()
        assert orphan.wait(30) == 0  # it was asked to stop, and did so in order
        assert prepared.is_serving()
    prepared.stop()


def test_somebody_elses_server_is_left_alone(prepared: EmbeddedPostgres) -> None:
    with bare_server(prepared, mark=False) as foreign:
        with pytest.raises(PostgresInUse, match=f"Process {foreign.pid} serves the database"):
            prepared.before_start()
        assert foreign.poll() is None


def test_two_owners_are_one_too_many(prepared: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(prepared.data_dir, durable=False)
    with pytest.raises(PostgresInUse, match=f"in use by process {os.getpid()}"):
        second.start()
    prepared.start()
    assert prepared.is_serving()
    prepared.stop()


def test_the_lock_file_of_a_zombie_does_not_block(prepared: EmbeddedPostgres) -> None:
    """PostgreSQL's own check takes a zombie for a living server."""
    zombie = subprocess.Popen(["true"])
    wait_until_sync(lambda: not is_running(zombie.pid))
    (prepared.cluster_folder / "postmaster.pid").write_text(f"{zombie.pid}\n/nowhere\n")
    prepared.start()
    assert prepared.is_serving()
    prepared.stop()
    zombie.wait()


def test_a_lock_file_whose_number_went_to_a_stranger_does_not_block(
    prepared: EmbeddedPostgres,
) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (prepared.cluster_folder / "postmaster.pid").write_text(f"{stranger.pid}\n/nowhere\n")
        prepared.start()
        assert prepared.is_serving()
        prepared.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_backend_that_outlives_its_server_is_ended_before_a_new_one_starts(
    prepared: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could still write; two servers' processes on one cluster corrupt it."""
    monkeypatch.setattr(remains, "_BACKENDS_NOTICE_S", 0.5)
    prepared.start()
    server = pid_of(prepared)
    frozen = next(pid for pid in servers_working_in(prepared.cluster_folder) if pid != server)
    os.kill(frozen, signal.SIGSTOP)
    prepared.kill()
    wait_until_sync(lambda: servers_working_in(prepared.cluster_folder) == [frozen])
    prepared.start()
    assert not is_running(frozen)
    prepared.stop()


def test_a_server_that_does_not_stop_is_stopped(
    prepared: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_IMMEDIATE_WITHIN_S", 0.2)
    prepared.start()
    server = pid_of(prepared)
    os.kill(server, signal.SIGSTOP)
    prepared._stop_within_s = 0.2
    prepared.stop()
    assert not is_running(server)


def _is_another(server: EmbeddedPostgres, first: int) -> bool:
    return server.pid not in {None, first}
