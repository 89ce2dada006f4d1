"""Which account a server runs under, and what is said when there is none."""

import os
from pathlib import Path

import pytest

from wardlight_cloud.store.embedded import PostgresError, identity
from wardlight_cloud.store.embedded.identity import (
    Identity,
    Kind,
    account,
    direct,
    identity_of_cluster,
    new_cluster_identity,
)


def only(*kinds: Kind) -> object:
    """A system that lets commands run under these kinds of identity."""

    def works(self: Identity) -> bool:
        return self.kind in kinds

    return works


def test_an_ordinary_user_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner or 1234)
    assert new_cluster_identity().kind is Kind.DIRECT
    if owner:
        assert identity_of_cluster(tmp_path).kind is Kind.DIRECT


def test_another_users_cluster_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PostgresError, match=r"belongs to user \d+, this process runs as user \d+"):
        identity_of_cluster(tmp_path)


def test_root_prefers_a_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(Identity, "works", only(Kind.NAMESPACE, Kind.ACCOUNT))
    assert new_cluster_identity().kind is Kind.NAMESPACE


def test_root_becomes_an_account_that_exists_where_namespaces_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(Identity, "works", only(Kind.ACCOUNT))
    monkeypatch.setattr(identity, "_ACCOUNTS", ("no-such-account", "nobody"))
    chosen = new_cluster_identity()
    assert chosen.kind is Kind.ACCOUNT
    assert chosen.uid != 0


def test_root_without_any_way_is_told_to_be_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(Identity, "works", only())
    with pytest.raises(PostgresError, match="Run this as an ordinary user"):
        new_cluster_identity()


def test_roots_cluster_without_namespaces_says_how_to_give_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tmp_path.stat().st_uid != 0:
        pytest.skip("needs a folder of root's")
    monkeypatch.setattr(Identity, "works", only())
    with pytest.raises(PostgresError, match=r"chown -R postgres"):
        identity_of_cluster(tmp_path)


def test_a_test_command_that_cannot_start_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("subprocess.run", refuse)
    assert not account(65534, 65534).works()
    assert direct().works()


def test_our_own_account_needs_no_launcher_options() -> None:
    command = direct().command(["postgres"], 2)
    assert command[-4:] == ["2", "-", "-", "postgres"]
    assert str(os.getpid()) in command
