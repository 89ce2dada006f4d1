"""Secrets in files: who may use them, and what is said when they cannot be used."""

from pathlib import Path

import pytest

from wardlight_edge import secret_file
from wardlight_edge.secret_file import PrivateFileError
from wardlight_shared.errors import ConfigError

SECRET = "231d39c1"


def _file(folder: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    file = folder / "a.key"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_the_account_and_a_credential_of_systemd_are_served(tmp_path: Path, mode: int) -> None:
    file = _file(tmp_path, f" {SECRET}\n", mode)
    assert secret_file.read(file, "the key") == SECRET
    assert secret_file.read_hex(file, "the key", 4) == bytes.fromhex(SECRET)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o610, 0o601, 0o666])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = _file(tmp_path, mode=mode)
    with pytest.raises(PrivateFileError, match=f"others may use the key; run: chmod 600 {file}"):
        secret_file.read(file, "the key")


def test_what_is_no_file_is_named_and_is_an_error_of_the_settings(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=f"{path}: the key cannot be read"):
            secret_file.read(path, "the key")


@pytest.mark.parametrize("text", ["", SECRET[:-2], SECRET + "00", "é" * 8, "no hex!!"])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = _file(tmp_path, text)
    with pytest.raises(PrivateFileError, match="must be 8 hex digits") as refused:
        secret_file.read_hex(file, "the key", 4)
    assert not text or text not in str(refused.value)


def test_a_long_file_is_not_read_whole(tmp_path: Path) -> None:
    assert len(secret_file.read(_file(tmp_path, "a" * 100_000), "it")) == secret_file.MOST_BYTES
