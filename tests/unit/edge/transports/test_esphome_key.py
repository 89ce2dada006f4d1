"""The key of a proxy, and the extra that may be missing."""

import base64
from importlib.util import find_spec
from pathlib import Path

import pytest

from wardlight_edge.config import BleSettings, ProxySettings
from wardlight_edge.transports import esphome_key
from wardlight_shared.errors import ConfigError

KEY = base64.b64encode(bytes(range(32))).decode()


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "proxy.key"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_key_is_read(tmp_path: Path) -> None:
    assert esphome_key.read_key(_file(tmp_path, KEY + "\n")) == KEY


def test_a_key_that_others_may_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        esphome_key.read_key(_file(tmp_path, KEY, 0o644))


@pytest.mark.parametrize("text", ["", KEY[:-4], KEY + KEY, "no base64 at all!", "\x00"])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="44 characters") as refused:
        esphome_key.read_key(_file(tmp_path, text))
    assert not text or text not in str(refused.value)


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        esphome_key.read_key(tmp_path / "none")


def test_without_the_extra_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esphome_key, "_NEEDED", ("a_package_that_nobody_has",))
    with pytest.raises(ConfigError, match=r"pip install 'bleak-esphome"):
        esphome_key.check_installed()


def test_proxies_are_looked_at_only_where_they_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy = ProxySettings(name="hall", host="proxy.local", noise_key_file=tmp_path / "none")
    esphome_key.check_proxies(BleSettings())
    esphome_key.check_proxies(BleSettings(enabled=False, proxies=(proxy,)))
    monkeypatch.setattr(esphome_key, "_NEEDED", ("msgspec",))
    esphome_key.check_proxies(BleSettings(proxies=(proxy,)))
    monkeypatch.setattr(esphome_key, "_NEEDED", ("a_package_that_nobody_has",))
    with pytest.raises(ConfigError, match="pip install"):
        esphome_key.check_proxies(BleSettings(proxies=(proxy,)))


@pytest.mark.skipif(find_spec("bleak_esphome") is None, reason="needs the extra esphome")
def test_with_the_extra_nothing_is_wrong() -> None:
    esphome_key.check_installed()
