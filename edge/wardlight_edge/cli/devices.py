"""``wardlight-edge devices add|list|set|remove|pair``, and ``repair``: who belongs to the gateway.

A gateway that runs is told, and takes the change at once; without one the register is changed.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wardlight_edge.cli.arguments import Commands, add_command
from wardlight_edge.config import DeviceSettings, Settings, check_devices, load
from wardlight_shared.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from wardlight_edge.cli.operator import RunningGateway
    from wardlight_edge.enrolment.listing import Row
    from wardlight_edge.enrolment.messages import Removed
    from wardlight_edge.enrolment.register import Register

PAIRING_S = 120.0
_ADDRESS = re.compile(r"(?:ble:)?([0-9A-F]{2}(?:[:-]?[0-9A-F]{2}){5})", re.IGNORECASE)


def add(commands: Commands) -> None:
    """Add the commands."""
    text = "enrol devices, list them, pair them, take them out"
    group = commands.add_parser("devices", help=text, description=text)
    actions = group.add_subparsers(metavar="{add,list,set,remove,pair}", required=True)
    _add_add(actions)
    listing = add_command(actions, "list", _list, "list all devices of the gateway")
    listing.add_argument("--json", action="store_true", help="print JSON")
    change = add_command(actions, "set", _set, "change what is known of an enrolled device")
    _add_identity(change)
    change.add_argument(
        "--profile", metavar="PROFILE",
        help="file name in profiles_dir without .toml; a gateway that runs goes on with the one it "
        "has until it is started again",
    )  # fmt: skip
    change.add_argument("--calibration-due", metavar="DAY", help="as 2027-03-01; none: no such day")
    remove = add_command(actions, "remove", _remove, "take an enrolled device out, with its bond")
    _add_identity(remove)
    remove.add_argument("--yes", action="store_true", help="do not ask")
    for where, name, meaning in (
        (actions, "pair", "pair a Bluetooth device: forget its bond and make a new one"),
        (commands, "repair", "the same as `devices pair`"),
    ):
        pair = add_command(where, name, _pair, meaning)
        _add_identity(pair)
        _add_seconds(pair)


def _add_add(actions: Commands) -> None:
    sub = add_command(
        actions, "add", _add,
        "enrol a device. Of a Bluetooth device without --serial-number the number is read when it "
        "is connected for the first time, in a window that opens now, and kept",
    )  # fmt: skip
    _add_identity(sub)
    sub.add_argument("--profile", required=True, help="file name in profiles_dir without .toml")
    sub.add_argument("--serial-number", metavar="S", help="Bluetooth: what it must show")
    sub.add_argument("--port", help="serial: a stable path such as /dev/serial/by-id/...")
    sub.add_argument("--file", type=Path, help="replay: a capture")
    sub.add_argument("--bind-key-file", type=Path, help="advertisements: key, mode 0600")
    sub.add_argument("--calibration-due", metavar="DAY", help="as 2027-03-01")
    sub.add_argument("--no-pair", action="store_true", help="open no window now")
    _add_seconds(sub)


def _add_identity(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "identity", metavar="DEVICE", type=identity_of,
        help="ble:AABBCCDDEEFF or the address with colons, serial:NAME, replay:NAME",
    )  # fmt: skip


def _add_seconds(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--seconds", type=_seconds, default=PAIRING_S, metavar="N",
        help=f"how long the window stays open, 10 to 600 (default: {PAIRING_S:g})",
    )  # fmt: skip


def identity_of(text: str) -> str:
    """The identity of a device; a Bluetooth address is taken as people write it."""
    found = _ADDRESS.fullmatch(text)
    return text if found is None else f"ble:{re.sub('[:-]', '', found[1]).upper()}"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 10 <= seconds <= 600:
        raise argparse.ArgumentTypeError("10 to 600 seconds")
    return seconds


# -- the commands


def _add(options: argparse.Namespace) -> int:
    from wardlight_edge.enrolment.messages import Asked
    from wardlight_edge.enrolment.service import fitted

    settings = load(options.config)
    device, profile = fitted(settings.profiles_dir, _device(options))
    is_running = _changed(
        settings, lambda register: register.add(device), lambda gateway: gateway.ask(
            "add", Asked(device), type(None))
    )  # fmt: skip
    _write(f"{device.identity}: enrolled with profile {device.profile}\n")
    ble = profile.transport.ble
    needs_window = ble is not None and (ble.bond or device.bind == "first-use")
    if not needs_window:
        return 0
    if is_running and not options.no_pair:
        return _paired(settings, device.identity, options.seconds)
    when = "then" if is_running else "when the gateway runs"
    _write(f"To pair it, {when}: wardlight-edge devices pair {device.identity}\n")
    return 0


def _device(options: argparse.Namespace) -> DeviceSettings:
    from wardlight_edge.enrolment.service import day_of

    is_ble = options.identity.startswith("ble:")
    is_first_use = is_ble and options.serial_number is None and options.bind_key_file is None
    given = {
        "identity": options.identity,
        "profile": options.profile,
        "serial_number": options.serial_number,
        "bind": "first-use" if is_first_use else "address",
        "port": options.port,
        "file": _absolute(options.file),
        "bind_key_file": _absolute(options.bind_key_file),
        "calibration_due": day_of(options.calibration_due or ""),
    }
    try:
        device = msgspec.convert(given, DeviceSettings, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise ConfigError(f"devices add: {error}") from error
    check_devices([device], "devices add")
    return device


def _absolute(file: Path | None) -> Path | None:
    return None if file is None else file.absolute()


def _list(options: argparse.Namespace) -> int:
    from wardlight_edge.cli.local_page import port_of
    from wardlight_edge.enrolment import listing
    from wardlight_edge.status import client

    settings = load(options.config)
    try:
        octets = client.fetch(port_of(settings), settings.status.host)
        rows = listing.of_gateway(client.parse(octets).devices)
    except TransportError:
        rows = _rows_of_files(settings)
        sys.stderr.write("wardlight-edge: the gateway does not run; what is written down:\n")
    if options.json:
        _write(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
    else:
        _write(listing.table(rows))
    return 0


def _rows_of_files(settings: Settings) -> "list[Row]":
    from datetime import datetime

    from wardlight_edge import profiles
    from wardlight_edge.enrolment import listing
    from wardlight_edge.enrolment.register import Register
    from wardlight_edge.transports.ble_bonds import Bonds

    register = Register.read(settings)
    names = {each.profile for each in register.devices}
    loaded = profiles.load(settings.profiles_dir, names)
    bonds = Bonds(settings.data_dir / "bonds.json").adapters
    return listing.of_register(register, loaded, bonds, datetime.now().astimezone().date())


def _set(options: argparse.Namespace) -> int:
    from wardlight_edge.enrolment.messages import Changed
    from wardlight_edge.enrolment.service import with_changes

    if options.profile is None and options.calibration_due is None:
        raise ConfigError("devices set: say what: --profile, --calibration-due or both")
    settings = load(options.config)
    day = "" if options.calibration_due == "none" else options.calibration_due
    changed = Changed(options.identity, calibration_due=day, profile=options.profile)

    def without(known: "Register") -> None:
        enrolled = known.enrolled(changed.identity)
        known.replace(with_changes(enrolled, changed, settings.profiles_dir))

    is_running = _changed(
        settings, without, lambda gateway: gateway.ask("set", changed, type(None))
    )
    if changed.profile is not None:
        when = " from the gateway's next start on" if is_running else ""
        _write(f"{options.identity}: profile: {changed.profile}{when}\n")
    if day is not None:
        _write(f"{options.identity}: calibration due: {day or 'no day'}\n")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from wardlight_edge.enrolment.messages import Named, Removed

    settings = load(options.config)
    identity = options.identity
    if not options.yes and not _is_sure(identity):
        _write("nothing was changed\n")
        return 1
    answers: list[Removed] = []
    is_running = _changed(
        settings,
        lambda known: known.remove(identity),
        lambda gateway: answers.append(gateway.ask("remove", Named(identity), Removed)),
    )
    _write(f"{identity}: removed; what was stored of it stays and is sent\n")
    if is_running:
        _tell_removed(answers[0])
    elif identity.startswith("ble:"):
        _write("  its bond was left, for the gateway does not run: bluetoothctl remove ADDRESS\n")
    return 0


def _tell_removed(removed: "Removed") -> None:
    if removed.bond_left is not None:
        _write(f"  its bond could not be dropped ({removed.bond_left}): bluetoothctl remove it\n")
    elif removed.had_bond:
        _write("  its bond is dropped\n")
    if removed.given_up:
        _write(
            f"  {removed.given_up} readings that waited until it would be known whose they are "
            "were given up, and are told as a gap\n"
        )


def _is_sure(identity: str) -> bool:
    _write(f"Remove {identity}? Its bond is dropped, its stored readings stay. [y/N] ")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _pair(options: argparse.Namespace) -> int:
    return _paired(load(options.config), options.identity, options.seconds)


def _paired(settings: Settings, identity: str, seconds: float) -> int:
    from wardlight_edge.cli.operator import RunningGateway
    from wardlight_edge.cli.pairing import pair

    return pair(RunningGateway(settings), identity, seconds)


# -- with a gateway that runs, or without


def _changed(
    settings: Settings,
    without: "Callable[[Register], object]",
    running: "Callable[[RunningGateway], object]",
) -> bool:
    """Make a change; True: the running gateway has made it."""
    from wardlight_edge.enrolment.register import Register, RegisterBusyError, held

    _check_folder(settings.data_dir)
    try:
        with held(settings.data_dir):
            without(Register.read(settings))
            return False
    except RegisterBusyError:
        running(_busy_gateway(settings))
        return True


def _busy_gateway(settings: Settings) -> "RunningGateway":
    from wardlight_edge.cli.operator import RunningGateway

    try:
        return RunningGateway(settings)
    except TransportError as error:
        raise TransportError(f"{error}, but its devices are in use: is it starting?") from error


def _check_folder(data_dir: Path) -> None:
    if data_dir.is_dir():
        return
    if os.geteuid() == 0:
        raise ConfigError(
            f"data_dir: {data_dir} is not there: start the gateway once, so that it is made for "
            "the gateway's account"
        )
    data_dir.mkdir(mode=0o700, parents=True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
