"""An embedded server starts, keeps what was committed, and stops without a trace."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from support.waiting import wait_until
from wardlight_cloud.store.embedded import EmbeddedPostgres, PostgresError, running_dsn
from wardlight_cloud.store.embedded.processes import is_running, servers_working_in


def throwaway(folder: Path, **options: object) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, durable=False, **options)  # type: ignore[arg-type] # forwarded


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server for the tests that only look."""
    folder = tmp_path_factory.mktemp("running")
    with throwaway(folder, tcp_port=0) as server:
        yield server
    shutil.rmtree(folder)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_second_start_continues_with_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces" / ("long" * 30)  # longer than a socket's path may be
    async with throwaway(folder) as server:
        await execute(server.dsn, "CREATE TABLE kept AS SELECT 42 AS number")
    async with throwaway(folder) as server:
        assert await value(server.dsn, "SELECT number FROM kept") == 42


async def test_stop_leaves_no_process_and_no_socket(data_dir: Path) -> None:
    async with throwaway(data_dir) as server:
        pid, sockets, cluster = server.pid, server.socket_folder, server.cluster_folder
        assert pid is not None
        left_open = await asyncpg.connect(server.dsn)
        await left_open.execute("BEGIN; CREATE TABLE unfinished ()")
    left_open.terminate()
    assert not is_running(pid)
    assert servers_working_in(cluster) == []
    assert not sockets.exists()


def test_it_serves_without_an_event_loop(data_dir: Path) -> None:
    with throwaway(data_dir) as server:
        assert server.is_serving()
        assert asyncio.run(value(server.dsn, "SELECT 1")) == 1
    assert server.pid is None


async def test_text_is_utf8_sorted_by_code_point_and_pages_have_checksums(
    running: EmbeddedPostgres,
) -> None:
    assert await value(running.dsn, "SHOW server_encoding") == "UTF8"
    assert await value(running.dsn, "SHOW data_checksums") == "on"
    assert await value(running.dsn, "SHOW timezone") == "UTC"
    assert await value(running.dsn, "SELECT 'Z' < 'a' AND 'a' < 'ä'") is True
    assert await value(running.dsn, "SELECT lower('ÄÖ')") == "äö"


async def test_a_durable_server_syncs_whatever_its_files_say(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        await execute(server.dsn, "ALTER SYSTEM SET fsync = off")
        await execute(server.dsn, "ALTER SYSTEM SET work_mem = '5MB'")
    async with EmbeddedPostgres(data_dir) as server:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert await value(server.dsn, f"SHOW {name}") == "on"
        assert await value(server.dsn, "SHOW work_mem") == "5MB"


async def test_another_process_finds_the_running_server(
    running: EmbeddedPostgres, tmp_path: Path
) -> None:
    assert running_dsn(running.data_dir) == running.dsn
    with pytest.raises(PostgresError, match="No database server runs for"):
        running_dsn(tmp_path)
    (tmp_path / "postgres.socket").write_text(f"{tmp_path}\n5432\n")
    with pytest.raises(PostgresError, match="No database server runs for"):
        running_dsn(tmp_path)


async def test_only_the_owner_reaches_the_socket(running: EmbeddedPostgres) -> None:
    assert running.socket_folder.stat().st_mode & 0o777 == 0o700


async def test_tcp_is_the_loopback_and_wants_the_password(running: EmbeddedPostgres) -> None:
    assert await value(running.tcp_dsn, "SHOW listen_addresses") == "127.0.0.1"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://wardlight:wrong@127.0.0.1:{running.port}/wardlight")
    assert (running.data_dir / "postgres.password").stat().st_mode & 0o777 == 0o600


async def test_without_tcp_there_is_only_the_socket(data_dir: Path) -> None:
    async with throwaway(data_dir) as server:
        assert await value(server.dsn, "SHOW listen_addresses") == ""
        assert server.port is None
        with pytest.raises(PostgresError, match="no TCP port"):
            server.tcp_dsn  # noqa: B018 - asking is the test


async def test_values_stay_out_of_the_log(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        await execute(server.dsn, "CREATE TABLE person (name text PRIMARY KEY)")
        statement = "INSERT INTO person VALUES ('Mrs Placeholder')"
        await execute(server.dsn, statement)
        with pytest.raises(asyncpg.UniqueViolationError):
            await execute(server.dsn, statement)
        logs = [server.log_file, *(server.cluster_folder / "log").iterdir()]
    said = "".join(log.read_text() for log in logs)
    assert "duplicate key value violates unique constraint" in said
    assert "Placeholder" not in said


async def test_a_failed_start_says_why_and_lets_go(data_dir: Path) -> None:
    with pytest.raises(PostgresError, match=r'did not start: .*"work_mem"'):
        async with throwaway(data_dir, settings={"work_mem": "much"}):
            pass
    async with throwaway(data_dir) as server:
        assert server.is_serving()


async def test_a_start_that_is_cancelled_leaves_nothing(data_dir: Path) -> None:
    server = throwaway(data_dir)
    starting = asyncio.create_task(server.__aenter__(), name="start")
    await wait_until((data_dir / "postgres.lock").is_file)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with throwaway(data_dir) as second:
        assert second.is_serving()


async def test_half_a_cluster_of_an_interrupted_start_is_made_again(tmp_path: Path) -> None:
    draft = tmp_path / "pgdata.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    async with throwaway(tmp_path) as server:
        assert server.is_serving()
    assert not draft.exists()


async def test_the_environment_does_not_redirect_the_server(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/elsewhere")
    monkeypatch.setenv("PGPORT", "1")
    async with throwaway(data_dir) as server:
        assert await value(server.dsn, "SHOW data_directory") == str(data_dir / "pgdata")


def test_the_server_holds_no_capability(running: EmbeddedPostgres) -> None:
    """Root started it, perhaps; it is not root itself."""
    status = Path(f"/proc/{running.pid}/status").read_text()
    capabilities = next(line for line in status.splitlines() if line.startswith("CapEff"))
    assert int(capabilities.split()[1], 16) == 0


async def test_what_a_killed_owner_leaves_goes_at_the_next_start_of_any(
    data_dir: Path, tmp_path: Path
) -> None:
    """Its own data folder may be gone, and with it whoever would have cleared up."""
    killed = throwaway(tmp_path / "gone")
    killed.start()
    left = killed.socket_folder
    killed.kill()
    shutil.rmtree(killed.data_dir)
    assert left.is_dir()
    async with throwaway(data_dir):
        assert not left.exists()


async def test_the_socket_of_a_living_server_stays(data_dir: Path, tmp_path: Path) -> None:
    """Also of one whose data folder was moved, so that the two do not name one another."""
    with throwaway(tmp_path / "moved") as living:
        elsewhere = living.data_dir.rename(tmp_path / "elsewhere")
        async with throwaway(data_dir):
            assert living.is_serving()
            assert await value(living.dsn, "SELECT 1") == 1
        elsewhere.rename(living.data_dir)
