"""``wardlight-edge scan`` where the settings name a proxy, and the extra is not installed."""

from pathlib import Path

import pytest

from support.edge_process import write_settings
from wardlight_edge.cli import main
from wardlight_edge.transports import esphome_key

PROXY = """
[[ble.proxy]]
name = "hall"
host = "proxy.invalid"
noise_key_file = "hall.key"
"""
MISSING = "ESPHome proxies need the extra 'esphome', which is not installed; run pip install"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings with the usual adapter and a proxy."""
    monkeypatch.setattr(esphome_key, "_NEEDED", ("a_package_that_nobody_has",))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")
    return write_settings(tmp_path, {}, PROXY)


def test_the_adapters_are_listened_to_and_the_rest_is_said(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", "--config", str(config), "--seconds", "1"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("wardlight-edge: only adapters are listened to. ")
    assert MISSING in first
    assert "no system D-Bus" in second


@pytest.mark.parametrize("arguments", [["--proxy", "hall"], []])
def test_without_an_adapter_there_is_nothing_to_listen_with(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    if not arguments:
        config.write_text(config.read_text().replace("[ble]\n", "[ble]\nadapters = []\n"))
    assert main(["scan", "--config", str(config), *arguments]) == 2
    shown = capsys.readouterr()
    assert (MISSING in shown.err, shown.out) == (True, "")
    assert len(shown.err.splitlines()) == 1


def test_settings_without_any_radio_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_settings(tmp_path, {})
    config.write_text(config.read_text().replace("[ble]\n", "[ble]\nadapters = []\n"))
    assert main(["scan", "--config", str(config)]) == 2
    assert "name no adapter and no proxy" in capsys.readouterr().err
