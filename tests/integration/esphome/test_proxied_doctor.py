"""What ``doctor`` says of proxies that can be asked."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from support.edge_settings import settings_for as gateway_settings
from wardlight_edge import doctor
from wardlight_edge.config import BleSettings, ProxySettings

if TYPE_CHECKING:
    from wardlight_lab.esphome.proxy import FakeProxy

Settings = Callable[["FakeProxy"], ProxySettings]


async def said(folder: Path, *proxies: ProxySettings) -> dict[str, tuple[bool, str]]:
    """What doctor says of the extra and of each proxy; it has a loop of its own."""
    settings = gateway_settings(folder, ble=BleSettings(adapters=(), proxies=proxies))
    findings = await asyncio.to_thread(doctor.examine, settings)
    return {each.what: (each.good, each.text) for each in findings}


async def test_a_proxy_is_asked_and_its_adverts_are_left_to_the_gateway(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    good = settings_for(proxy)
    found = await said(tmp_path, good)
    assert found["extra esphome"] == (True, "installed")
    is_good, text = found["proxy livingroom"]
    assert (is_good, text) == (True, f"127.0.0.1:{proxy.port} answers; hears, makes links")
    assert proxy.listen_requests == 0
    proxy.features = 0x01
    is_good, text = (await said(tmp_path, good))["proxy livingroom"]
    assert (is_good, "give its configuration bluetooth_proxy:" in text) == (False, True)


async def test_what_is_wrong_with_a_proxy_is_told(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    good = settings_for(proxy)
    other = tmp_path / "other.key"
    other.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    other.chmod(0o600)
    wrong = msgspec.structs.replace(good, name="wrong", noise_key_file=other)
    away = msgspec.structs.replace(good, name="away", port=1)
    none = msgspec.structs.replace(good, name="none", noise_key_file=tmp_path / "none.key")
    found = await said(tmp_path, good, wrong, away, none)
    assert found["proxy livingroom"][0]
    assert found["proxy wrong"] == (
        False, f"refuses the key in {other}; docs/operations.md has what to do"
    )  # fmt: skip
    assert "cannot be reached at 127.0.0.1:1" in found["proxy away"][1]
    assert "none.key" in found["proxy none"][1]
