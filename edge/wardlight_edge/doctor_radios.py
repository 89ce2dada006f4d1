"""``wardlight-edge doctor``: the radios of the settings, adapters and ESPHome proxies.

A proxy is connected to and asked what it can do; nobody's adverts are asked for, so that a gateway
that runs keeps them.
"""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wardlight_edge.config import BleSettings, ProxySettings
from wardlight_edge.findings import Finding, bad, good
from wardlight_edge.transports import esphome_key
from wardlight_shared.errors import ConfigError, TransportError

_SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"
_CONNECT_S: Final = 5.0
_EXTRA: Final = "extra esphome"


def radios(settings: BleSettings, *, has_devices: bool) -> Iterator[Finding]:
    """Adapters where a device needs them, and every proxy."""
    if not settings.enabled:
        return
    if has_devices and settings.adapters:
        yield _bus()
        yield from (_adapter(name) for name in settings.adapters)
    if settings.proxies:
        yield from _proxies(settings.proxies)


def _bus() -> Finding:
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={_SYSTEM_BUS}")
    path = Path(address.removeprefix("unix:path=").partition(",")[0])
    if path.exists():
        return good("D-Bus", str(path))
    return bad("D-Bus", f"{path} is not there: apt install dbus bluez")


def _adapter(name: str) -> Finding:
    if Path("/sys/class/bluetooth", name).exists() or "DBUS_SYSTEM_BUS_ADDRESS" in os.environ:
        return good(f"adapter {name}", "present")
    return bad(f"adapter {name}", "not there: see `bluetoothctl list`")


def _proxies(proxies: Sequence[ProxySettings]) -> Iterator[Finding]:
    try:
        esphome_key.check_installed()
    except ConfigError as error:
        yield bad(_EXTRA, str(error))
        yield from (_key(proxy) or _port(proxy) for proxy in proxies)
        return
    yield good(_EXTRA, "installed")
    keys = {proxy.name: _key(proxy) for proxy in proxies}
    asked = asyncio.run(_asked([proxy for proxy in proxies if keys[proxy.name] is None]))
    yield from (keys[proxy.name] or asked[proxy.name] for proxy in proxies)


def _key(proxy: ProxySettings) -> Finding | None:
    """What is wrong with its key; None = nothing."""
    file = proxy.noise_key_file
    try:
        esphome_key.read_key(file)
    except ConfigError as error:
        advice = ""
        if not file.exists():
            advice = "; write the text after key: in its api: encryption: there, mode 0600"
        return bad(_name(proxy), f"ble.proxy.noise_key_file: {error}{advice}")
    return None


def _port(proxy: ProxySettings) -> Finding:
    """Whether something answers; who it is cannot be asked without the extra."""
    place = f"{proxy.host}:{proxy.port}"
    try:
        with socket.create_connection((proxy.host, proxy.port), _CONNECT_S):
            return good(_name(proxy), f"{place} takes connections; not asked without the extra")
    except OSError as error:
        reason = error.strerror or "no answer in time"
        return bad(
            _name(proxy),
            f"cannot be reached at {place} ({reason}): look at its power, its Wi-Fi and "
            "ble.proxy.host",
        )


async def _asked(proxies: Sequence[ProxySettings]) -> dict[str, Finding]:
    found = await asyncio.gather(*(_ask(proxy) for proxy in proxies))
    return {proxy.name: each for proxy, each in zip(proxies, found, strict=True)}


async def _ask(proxy: ProxySettings) -> Finding:
    from wardlight_edge.transports.esphome import ProxyOpener

    try:
        async with ProxyOpener(proxy)() as opened:
            if not opened.forwards:
                return bad(
                    _name(proxy),
                    "forwards no advertisements: give its configuration bluetooth_proxy:, and its "
                    "firmware 2023.6 or newer",
                )
            links = "makes links" if opened.makes_links else "makes no links (active: false?)"
            return good(_name(proxy), f"{proxy.host}:{proxy.port} answers; hears, {links}")
    except TransportError as error:
        return bad(_name(proxy), f"{error}; docs/operations.md has what to do")


def _name(proxy: ProxySettings) -> str:
    return f"proxy {proxy.name}"
