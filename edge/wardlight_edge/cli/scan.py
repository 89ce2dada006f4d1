"""``wardlight-edge scan``: who advertises near this gateway."""

import argparse
import logging
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wardlight_edge.cli.arguments import DEFAULT_CONFIG, Commands
from wardlight_edge.config import BleSettings, ProxySettings, Settings, load
from wardlight_shared.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from wardlight_edge.scan_gateway import Ask
    from wardlight_edge.scan_proxies import Ear

SECONDS: Final = 15.0


def add(commands: Commands) -> None:
    """Add the command."""
    text = "show Bluetooth devices that advertise here, and the profile that fits each"
    sub = commands.add_parser("scan", help=text, description=text)
    sub.add_argument(
        "--config", type=Path, metavar="FILE",
        help="settings file: profiles, radios and enrolled devices "
        f"(default: {DEFAULT_CONFIG}, where it is there)",
    )  # fmt: skip
    sub.add_argument(
        "--seconds", type=_seconds, default=SECONDS, metavar="N",
        help=f"how long to listen; 0 = until Ctrl-C (default: {SECONDS:g})",
    )  # fmt: skip
    sub.add_argument(
        "--adapter", action="append", metavar="hciX", default=[],
        help="listen with this adapter; may be given again (default: all radios of the settings)",
    )  # fmt: skip
    sub.add_argument(
        "--proxy", action="append", metavar="NAME", default=[],
        help="listen through this ESPHome proxy of the settings; may be given again",
    )  # fmt: skip
    sub.add_argument("--json", action="store_true", help="print one JSON document at the end")
    sub.set_defaults(command=_scan)


def _scan(options: argparse.Namespace) -> int:
    import asyncio

    from wardlight_edge import profiles, scan

    settings = _settings(options.config)
    known = {} if settings is None else profiles.load_all(settings.profiles_dir)
    survey = scan.Survey(known, _enrolled(settings), time.monotonic)
    ble = settings.ble if settings else BleSettings()
    adapters, proxies = _radios(options, ble)
    if not adapters and not proxies:
        raise ConfigError("the settings name no adapter and no proxy: give --adapter hciX")
    # What the libraries report would stand in the table; what a person must know is said after it.
    logging.getLogger().addHandler(logging.NullHandler())
    ear = _ear(proxies, settings)
    asyncio.run(scan.run(adapters, ear, options.seconds, survey, sys.stdout, is_json=options.json))
    return 0


def _radios(
    options: argparse.Namespace, ble: BleSettings
) -> tuple[list[str], Sequence[ProxySettings]]:
    """Those that were asked for, or else all of the settings that can be used."""
    if options.adapter or options.proxy:
        return list(dict.fromkeys(options.adapter)), _named(options.proxy, ble)
    adapters, proxies = list(dict.fromkeys(ble.adapters)), ble.proxies
    try:
        _check_extra(proxies)
    except ConfigError as error:
        if not adapters:
            raise
        sys.stderr.write(f"wardlight-edge: only adapters are listened to. {error}\n")
        proxies = ()
    return adapters, proxies


def _named(names: Sequence[str], ble: BleSettings) -> Sequence[ProxySettings]:
    known = {proxy.name: proxy for proxy in ble.proxies}
    for name in names:
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(f"--proxy {name}: not a proxy of the settings, which name {there}")
    proxies = [known[name] for name in dict.fromkeys(names)]
    _check_extra(proxies)
    return proxies


def _check_extra(proxies: Sequence[ProxySettings]) -> None:
    from wardlight_edge.transports.esphome_key import check_installed

    if proxies:
        check_installed()


def _ear(proxies: Sequence[ProxySettings], settings: Settings | None) -> "Ear":
    """Proxies that the running gateway holds through the gateway, the others directly."""
    from wardlight_edge.scan_proxies import NoProxies, OwnProxies, SeveralEars

    if not proxies or settings is None:
        return NoProxies()
    held = _held(proxies, settings)
    if held is None:
        return OwnProxies(proxies)
    ear, names = held
    own = [each for each in proxies if each.name not in names]
    return SeveralEars([ear, OwnProxies(own)]) if own else ear


def _held(
    proxies: Sequence[ProxySettings], settings: Settings
) -> "tuple[Ear, Collection[str]] | None":
    """What hears through the running gateway, and the proxies it holds; None = it holds none."""
    from wardlight_edge.scan_gateway import GatewayProxies, HeldProxies
    from wardlight_edge.transports.esphome_radio import radio_name

    names = {radio_name(each.name): each.name for each in proxies}
    used = names.keys() & _radios_in_use(settings)
    if not used:
        return None
    held = frozenset(names[radio] for radio in used)
    try:
        ask = _asker(settings)
        first = ask(None)
    except (TransportError, ConfigError) as error:
        listed = ", ".join(sorted(used))
        return HeldProxies(f"{listed}: the gateway that runs listens, not the scan; {error}"), held
    return GatewayProxies(ask, sorted(used), first), held


def _radios_in_use(settings: Settings) -> frozenset[str]:
    """The radios of the gateway that runs with these settings; its page is open to everybody."""
    from wardlight_edge.cli.local_page import port_of
    from wardlight_edge.status import client

    try:
        snapshot = client.parse(client.fetch(port_of(settings), settings.status.host))
    except TransportError as error:
        if isinstance(error.__cause__, PermissionError):
            sys.stderr.write(f"wardlight-edge: whether the gateway runs is not known: {error}\n")
        return frozenset()
    return frozenset(radio.name for radio in snapshot.radios)


def _asker(settings: Settings) -> "Ask":
    from wardlight_edge.cli.operator import RunningGateway
    from wardlight_edge.enrolment.messages import Overhear
    from wardlight_edge.transports.overheard import Overheard

    gateway = RunningGateway(settings)

    def ask(since: int | None) -> Overheard:
        return gateway.ask("hear", Overhear(since), Overheard)

    return ask


def _settings(file: Path | None) -> Settings | None:
    """The settings; None = none were named, and none are in the usual place."""
    if file is None and not DEFAULT_CONFIG.exists():
        sys.stderr.write(
            f"wardlight-edge: without settings ({DEFAULT_CONFIG}, or --config FILE) no profiles "
            "and no enrolled devices are known\n"
        )
        return None
    return load(file or DEFAULT_CONFIG)


def _enrolled(settings: Settings | None) -> frozenset[str]:
    """Addresses of the gateway's Bluetooth devices."""
    if settings is None:
        return frozenset()
    from wardlight_edge.enrolment.register import Register
    from wardlight_edge.transports.ble_device import address_from_identity

    identities = (device.identity for device in Register.read(settings).devices)
    return frozenset(address_from_identity(each) for each in identities if each.startswith("ble:"))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("from 0 to 86400")
    return seconds
