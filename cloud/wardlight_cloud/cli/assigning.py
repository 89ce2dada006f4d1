"""Whose readings are whose: ``gateway assign``, and ``gateway unassigned`` for those of nobody."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.cli.on_store import command, moment
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.unassigned import UNKNOWN_USER
from wardlight_shared.errors import ConfigError

_UNKNOWN: Final = "unknown"


def add_commands(steps: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    assign = command(steps, config, "assign", "say whose readings a device takes")
    assign.add_argument("device", help="identity, as `gateway devices` shows it")
    assign.add_argument("patient", type=UUID, help="id, as `patient list` shows it")
    assign.add_argument(
        "--user", type=_user, metavar="N",
        help=f"user index of the device; {_UNKNOWN}: readings whose user it did not know, "
        "with --since and --until",
    )  # fmt: skip
    assign.add_argument("--since", type=moment, metavar="ISO", help="with offset; default: now")
    assign.add_argument("--until", type=moment, metavar="ISO", help="default: from then on")
    assign.set_defaults(action=_assign)
    unassigned = command(steps, config, "unassigned", "readings that are no patient's")
    unassigned.add_argument("--days", type=_days, default=30, metavar="N", help="default: 30")
    unassigned.set_defaults(action=_unassigned)


def _user(text: str) -> int:
    if text == _UNKNOWN:
        return UNKNOWN_USER
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and int(text) < UNKNOWN_USER):
        raise argparse.ArgumentTypeError(f"a number of 0 to 254, or {_UNKNOWN}")
    return int(text)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= 36_500):
        raise argparse.ArgumentTypeError("a number of 1 to 36500")
    return int(text)


async def _assign(store: Store, options: argparse.Namespace) -> int:
    if options.user == UNKNOWN_USER and None in (options.since, options.until):
        raise ConfigError(
            "readings of unknown users need --since and --until: the next one may be somebody else"
        )
    devices, _ = await store.devices(identity=options.device)
    if not devices:
        raise ConfigError(f"there is no device {options.device!r}; see `gateway devices`")
    since = options.since or datetime.now(UTC)
    if options.until is not None and options.until <= since:
        raise ConfigError("--until must be after --since")
    patients, _ = await store.patients(ids=[options.patient])
    if not patients:
        raise ConfigError(f"there is no patient {options.patient}; see `patient list`")
    await store.assign(
        devices[0].device_id, options.patient,
        user=options.user, valid_from=since, valid_to=options.until,
    )  # fmt: skip
    return 0


async def _unassigned(store: Store, options: argparse.Namespace) -> int:
    since = datetime.now(UTC).date() - timedelta(days=options.days)
    show(
        ("device", "user", "readings", "first", "last"),
        [
            (
                each.device, _UNKNOWN if each.user is None else each.user, each.readings,
                each.first, each.last,
            )
            for each in await store.unassigned(since=since)
        ],
    )  # fmt: skip
    return 0
