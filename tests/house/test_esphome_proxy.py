"""The configuration of a Bluetooth proxy: its secrets are elsewhere, and it does what we need."""

import re
import tomllib
from typing import Any

import msgspec
import pytest
import yaml

from support.tree import ROOT
from wardlight_edge.config import ProxySettings

FOLDER = ROOT / "firmware-configs" / "esphome"
TEXT = (FOLDER / "bluetooth-proxy.yaml").read_text(encoding="utf-8")


class Secret(str):
    """`!secret NAME`."""


class _Loader(yaml.SafeLoader):
    """YAML as ESPHome writes it."""


def _secret(loader: _Loader, node: yaml.ScalarNode) -> Secret:
    return Secret(loader.construct_scalar(node))


_Loader.add_constructor("!secret", _secret)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(TEXT, _Loader)  # noqa: S506 - a SafeLoader with one tag
    return found


def test_every_password_and_key_is_a_secret(config: dict[str, Any]) -> None:
    wifi = config["wifi"]
    secrets = [config["api"]["encryption"]["key"], wifi["ssid"], wifi["password"]]
    secrets += [each["password"] for each in config["ota"]]
    assert all(isinstance(each, Secret) for each in secrets)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert not [each for each in secrets if f"{each}: " not in readme], "how to set it"
    assert not re.search(r"[A-Za-z0-9+/]{43}=", TEXT), "a key stands in the file"


def test_the_proxy_makes_as_many_links_as_the_settings_use(config: dict[str, Any]) -> None:
    proxy = config["bluetooth_proxy"]
    assert proxy["active"] is True
    (default,) = [
        each.default for each in msgspec.structs.fields(ProxySettings) if each.name == "max_links"
    ]
    assert proxy["connection_slots"] == default


def test_the_settings_of_the_readme_are_settings() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^ *```toml\n(.*?)```", readme, re.DOTALL | re.MULTILINE)
    (proxy,) = tomllib.loads(block)["ble"]["proxy"]
    assert msgspec.convert(proxy, ProxySettings, dec_hook=lambda kind, value: kind(value))


def test_the_radio_is_left_to_wifi_for_a_while(config: dict[str, Any]) -> None:
    scan = config["esp32_ble_tracker"]["scan_parameters"]
    assert int(scan["window"].removesuffix("ms")) < int(scan["interval"].removesuffix("ms"))
    assert scan["continuous"] is True


def test_nothing_is_logged_that_was_measured(config: dict[str, Any]) -> None:
    assert config["logger"]["level"] in {"NONE", "ERROR", "WARN"}
