"""What outlives an advert session, and the file with a bind key."""

import logging
from pathlib import Path

import pytest

from wardlight_edge.sessions import bind_key
from wardlight_edge.sessions.advert_memory import AdvertMemories, Kept, beginning
from wardlight_edge.sessions.sealing import Sealer
from wardlight_shared.errors import ConfigError

DEVICE = "ble:5448E68F80A5"
KEPT = Kept(b"12345678", 7, b"secret digest", 1_780_000_000_000)
KEY = "231D39C1D7CC1AB1AEE224CD096DB932"


def memories(folder: Path, key: bytes = bytes(32)) -> AdvertMemories:
    sealer = Sealer(key)
    return AdvertMemories(folder / "adverts", sealer.seal, sealer.open_sealed)


def test_what_is_kept_comes_back_and_is_sealed(tmp_path: Path) -> None:
    assert memories(tmp_path).read(DEVICE) is None
    assert memories(tmp_path).keep(DEVICE, KEPT)
    assert memories(tmp_path).read(DEVICE) == KEPT
    (file,) = (tmp_path / "adverts").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in file.read_bytes()


def test_two_beginnings_are_told_apart() -> None:
    assert beginning().token != beginning().token


@pytest.mark.parametrize("damage", ["key", "cut", "nothing", "other"])
def test_a_file_that_cannot_be_read_is_said_and_begins_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = memories(tmp_path)
    kept.keep(DEVICE, KEPT)
    (file,) = (tmp_path / "adverts").iterdir()
    match damage:
        case "key":
            kept = memories(tmp_path, b"k" * 32)
        case "cut":
            file.write_bytes(file.read_bytes()[:-1])
        case "nothing":
            file.write_bytes(b"")
        case "other":
            file.write_bytes(Sealer(bytes(32)).seal(b"\x91\x01"))
    with caplog.at_level(logging.WARNING):
        assert kept.read(DEVICE) is None
    assert "begins anew" in caplog.text


def test_a_disk_in_trouble_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "adverts").write_text("in the way")
    assert not memories(tmp_path).keep(DEVICE, KEPT)
    assert "not written" in caplog.text


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_bind_key_is_32_hex_digits_of_this_account(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text(f" {KEY}\n")
    file.chmod(mode)
    assert bind_key.read(file) == bytes.fromhex(KEY)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o666, 0o601])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {file}"):
        bind_key.read(file)


@pytest.mark.parametrize(
    "content", [b"", KEY[:-1].encode(), KEY.encode() * 2, b"\xff" * 32, b"z" * 32]
)
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="32 hex digits") as caught:
        bind_key.read(file)
    assert KEY[:8] not in str(caught.value)
    assert "z" * 32 not in str(caught.value)


def test_a_key_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        bind_key.read(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot be read"):
        bind_key.read(tmp_path)
