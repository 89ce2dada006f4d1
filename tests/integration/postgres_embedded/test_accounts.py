"""Root's ways to run a server that refuses root."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from wardlight_cloud.store.embedded import EmbeddedPostgres, PostgresError, find_binaries
from wardlight_cloud.store.embedded.identity import account, identity_of_cluster, namespace
from wardlight_cloud.store.embedded.placement import place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def enterable() -> Iterator[Path]:
    """A folder that every account may enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="wl-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


async def answer(dsn: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT 1")
    finally:
        await connection.close()


def test_in_a_user_namespace_the_files_stay_roots(tmp_path: Path) -> None:
    if not namespace().works():
        pytest.skip("this system refuses user namespaces")
    with EmbeddedPostgres(tmp_path, durable=False, identity=namespace()) as server:
        assert (
            Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"postgres")
        )
        assert server.cluster_folder == tmp_path / "pgdata"
        assert server.cluster_folder.stat().st_uid == 0


def test_as_another_account_the_cluster_gets_a_place_of_its_own(
    tmp_path: Path, enterable: Path
) -> None:
    identity = account(nobody().pw_uid, nobody().pw_gid)
    data_dir = tmp_path / "private"
    with EmbeddedPostgres(
        data_dir, durable=False, identity=identity, shared_folder=enterable
    ) as server:
        assert server.cluster_folder.is_relative_to(enterable)
        assert Path(f"/proc/{server.pid}").stat().st_uid == nobody().pw_uid
        assert asyncio.run(answer(server.dsn)) == 1
        server_pid = server.pid
        first = server.cluster_folder
    assert (data_dir / "postgres.location").read_text() == f"{first.parent}\n"
    with EmbeddedPostgres(data_dir, durable=False, shared_folder=enterable) as server:
        assert server.cluster_folder == first
        assert server.placement.identity == identity  # found by the owner of the cluster
        assert server.pid != server_pid


def test_an_enterable_data_folder_keeps_its_cluster(enterable: Path) -> None:
    data_dir = enterable / "data"
    data_dir.mkdir(mode=0o755)
    identity = account(nobody().pw_uid, nobody().pw_gid)
    with EmbeddedPostgres(data_dir, durable=False, identity=identity) as server:
        assert server.cluster_folder == data_dir / "pgdata"
        assert asyncio.run(answer(server.dsn)) == 1


def test_programs_out_of_reach_are_copied_once(
    tmp_path: Path, enterable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = find_binaries().folder.parent
    private = tmp_path / "installation"
    private.mkdir(mode=0o700)
    for name in ("bin", "lib", "share"):
        (private / name).mkdir()
    for name in ("initdb", "postgres"):
        shutil.copy2(original / "bin" / name, private / "bin" / name)
    monkeypatch.setenv("WARDLIGHT_PG_BIN", str(private / "bin"))
    identity = account(nobody().pw_uid, nobody().pw_gid)
    placements = [place(tmp_path, identity=identity, shared_folder=enterable) for _ in range(2)]
    copies = {placement.binaries.folder for placement in placements}
    assert len(copies) == 1
    assert copies.pop().is_relative_to(enterable)
    assert len(list(enterable.glob("postgresql-*"))) == 1
    assert not list(enterable.glob("copying-*"))


def test_a_shared_folder_out_of_reach_is_named(tmp_path: Path) -> None:
    identity = account(nobody().pw_uid, nobody().pw_gid)
    with pytest.raises(PostgresError, match="can enter neither"):
        place(tmp_path, identity=identity, shared_folder=tmp_path / "shared")


def test_a_cluster_runs_as_the_account_that_owns_it(tmp_path: Path) -> None:
    os.chown(tmp_path, nobody().pw_uid, nobody().pw_gid)
    assert identity_of_cluster(tmp_path) == account(nobody().pw_uid, nobody().pw_gid)
