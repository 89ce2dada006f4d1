"""The outbox key file."""

import stat
from pathlib import Path

import pytest

from wardlight_edge.outbox import key
from wardlight_shared.errors import ConfigError


def test_an_absent_key_is_made_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "outbox.key"
    made = key.read_or_make(path)
    assert len(made) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.read_or_make(path) == made == key.read(path)
    assert [one.name for one in tmp_path.iterdir()] == ["outbox.key"]


def test_two_keys_differ(tmp_path: Path) -> None:
    assert key.read_or_make(tmp_path / "a") != key.read_or_make(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "outbox.key"
    key.read_or_make(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        key.read(path)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600])
def test_a_credential_is_accepted(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "outbox.key"
    path.write_text("ab" * 32, encoding="ascii")
    path.chmod(mode)
    assert key.read(path) == b"\xab" * 32


@pytest.mark.parametrize("text", ["", "xyz", "ab" * 31, "ab" * 33, "é" * 64])
def test_what_is_no_key_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "outbox.key"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"outbox\.key"):
        key.read(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be made"):
        key.read_or_make(tmp_path / "nowhere" / "outbox.key")
    with pytest.raises(ConfigError, match="cannot be read"):
        key.read(tmp_path / "nowhere" / "outbox.key")
