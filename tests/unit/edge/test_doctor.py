"""What ``doctor`` says of files beside the settings, and of proxies."""

import base64
import os
import socket
from pathlib import Path

import pytest

from support.edge_settings import settings_for
from wardlight_edge import doctor
from wardlight_edge.config import BleSettings, DeviceSettings, ProxySettings, UserSettings
from wardlight_edge.enrolment.register import Register
from wardlight_edge.findings import Finding
from wardlight_edge.transports import esphome_key

KEY = "231d39c1d7cc1ab1aee224cd096db932"


@pytest.mark.parametrize(
    ("mode", "content", "good", "text"),
    [
        (0o600, KEY, True, "scale.key"),
        (0o644, KEY, False, "chmod 600"),
        (0o600, KEY[:-2], False, "32 hex digits"),
        (0o600, None, False, "scale.key is not there (named in edge.toml): write its 32 hex"),
    ],
)
def test_a_bind_key_is_looked_at(
    tmp_path: Path, mode: int, content: str | None, good: bool, text: str
) -> None:
    file = tmp_path / "scale.key"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="x", bind_key_file=file)
    findings = doctor.examine(settings_for(tmp_path, device))
    (finding,) = [each for each in findings if each.what == "bind key of ble:5448E68F80A5"]
    assert finding.good is good
    assert text in finding.text
    assert KEY not in finding.text


def of(findings: list[Finding], what: str) -> Finding:
    (found,) = [each for each in findings if each.what == what]
    return found


def test_the_keys_of_enrolled_devices_are_looked_at_too(tmp_path: Path) -> None:
    file = tmp_path / "scale.key"
    settings = settings_for(tmp_path)
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="x", bind_key_file=file)
    Register.read(settings).add(device)
    missing = of(doctor.examine(settings), "bind key of ble:5448E68F80A5")
    assert not missing.good
    assert f"(named in {tmp_path}/devices.toml): write its 32 hex digits" in missing.text
    file.write_text(KEY)
    file.chmod(0o604)
    assert "chmod 600" in of(doctor.examine(settings), missing.what).text
    file.chmod(0o600)
    assert of(doctor.examine(settings), missing.what).good


def test_consent_codes_are_looked_at(tmp_path: Path) -> None:
    good, bad = tmp_path / "one.code", tmp_path / "two.code"
    for file, code in ((good, "1234"), (bad, "98765")):
        file.write_text(code)
        file.chmod(0o600)
    users = (UserSettings(index=1, consent_code_file=good),
             UserSettings(index=2, consent_code_file=bad),
             UserSettings(index=3, consent_code_file=tmp_path / "three.code"))  # fmt: skip
    device = DeviceSettings(identity="ble:AABBCCDDEEFF", profile="x", users=users)
    findings = doctor.examine(settings_for(tmp_path, device))
    first, second, third = (
        of(findings, f"consent code of user {index} of {device.identity}") for index in (1, 2, 3)
    )
    assert first.good
    assert (second.good, "1 to 4 digits" in second.text, "98765" in second.text) == (
        False, True, False,
    )  # fmt: skip
    assert "write the code that the person chose" in third.text


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another account")
def test_a_key_that_only_root_may_read_is_told(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    os.chown(data_dir, 1, 1)
    file = tmp_path / "scale.key"
    file.write_text(KEY)
    file.chmod(0o600)
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="x", bind_key_file=file)
    found = of(doctor.examine(settings_for(data_dir, device)), f"bind key of {device.identity}")
    assert (found.good, f"is of root (named in edge.toml): chown daemon {file}" in found.text) == (
        False, True,
    )  # fmt: skip
    os.chown(file, 1, 1)
    assert of(doctor.examine(settings_for(data_dir, device)), found.what).good


def test_proxies_are_looked_at_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(esphome_key, "_NEEDED", ("a_package_that_nobody_has",))
    key = tmp_path / "hall.key"
    key.write_text(base64.b64encode(bytes(32)).decode())
    key.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        hall = ProxySettings(name="hall", host="127.0.0.1", port=port, noise_key_file=key)
        attic = ProxySettings(name="attic", host="127.0.0.1", noise_key_file=tmp_path / "none")
        ble = BleSettings(adapters=(), proxies=(hall, attic))
        findings = doctor.examine(settings_for(tmp_path, ble=ble))
    extra = of(findings, "extra esphome")
    assert (extra.good, "pip install 'bleak-esphome" in extra.text) == (False, True)
    assert of(findings, "proxy hall").good
    missing = of(findings, "proxy attic")
    assert "ble.proxy.noise_key_file: " in missing.text
    assert "write the text after key:" in missing.text
    assert not [each for each in findings if each.what == "D-Bus"]
    away = of(doctor.examine(settings_for(tmp_path, ble=ble)), "proxy hall")
    assert (away.good, "look at its power, its Wi-Fi and ble.proxy.host" in away.text) == (
        False, True,
    )  # fmt: skip
    off = doctor.examine(settings_for(tmp_path, ble=BleSettings(enabled=False, proxies=(hall,))))
    assert not [each for each in off if each.what in {"proxy hall", "extra esphome"}]


def test_a_gateway_with_proxies_alone_needs_no_bus(tmp_path: Path) -> None:
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="x")
    alone = doctor.examine(settings_for(tmp_path, device, ble=BleSettings(adapters=())))
    assert not [each for each in alone if each.what == "D-Bus"]
    assert of(doctor.examine(settings_for(tmp_path, device)), "adapter hci0")
