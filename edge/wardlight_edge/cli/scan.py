"""``wardlight-edge scan``: who advertises near this gateway."""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from wardlight_edge.cli.arguments import DEFAULT_CONFIG, Commands
from wardlight_edge.config import BleSettings, Settings, load

SECONDS: Final = 15.0


def add(commands: Commands) -> None:
    """Add the command."""
    text = "show Bluetooth devices that advertise here, and the profile that fits each"
    sub = commands.add_parser("scan", help=text, description=text)
    sub.add_argument(
        "--config", type=Path, metavar="FILE",
        help=f"settings file: profiles, adapters and enrolled devices (default: {DEFAULT_CONFIG}, "
        "where it is there)",
    )  # fmt: skip
    sub.add_argument(
        "--seconds", type=_seconds, default=SECONDS, metavar="N",
        help=f"how long to listen; 0 = until Ctrl-C (default: {SECONDS:g})",
    )  # fmt: skip
    sub.add_argument("--adapter", action="append", metavar="hciX", help="may be given again")
    sub.add_argument("--json", action="store_true", help="print one JSON document at the end")
    sub.set_defaults(command=_scan)


def _scan(options: argparse.Namespace) -> int:
    from wardlight_edge import profiles, scan

    settings = _settings(options.config)
    known = {} if settings is None else profiles.load_all(settings.profiles_dir)
    survey = scan.Survey(known, _enrolled(settings), time.monotonic)
    adapters = options.adapter or (settings.ble if settings else BleSettings()).adapters
    scan.run(
        list(dict.fromkeys(adapters)), options.seconds, survey, sys.stdout, is_json=options.json
    )
    return 0


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
