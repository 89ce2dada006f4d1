"""Commands on readings kept aside: quarantine list, show, release, discard."""

import argparse
import os
import pwd
from typing import Any

from wardlight_cloud.cli.on_store import command, moment, row_id
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.quarantine import QuarantineDecision, QuarantinedReading
from wardlight_shared.codes import name_of
from wardlight_shared.errors import ConfigError
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import ABSENT_BY_CODE

_MOST = 1000


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    text = "readings kept aside: list them, let them in, or close them"
    steps = commands.add_parser("quarantine", help=text, description=text).add_subparsers(
        metavar="STEP", required=True
    )
    waiting = command(steps, config, "list", "readings that wait for a decision")
    waiting.add_argument("gateway", nargs="?", help="default: all")
    waiting.add_argument("--all", action="store_true", help="those that were decided on, too")
    waiting.set_defaults(action=_list)
    one = command(steps, config, "show", "what was decided on a reading, by whom and why")
    one.add_argument("number", type=row_id, help="as `quarantine list` shows it")
    one.set_defaults(action=_show)
    release = _decision(
        steps, config, "release", "store the record of this reading as an ordinary one, marked so"
    )
    release.add_argument(
        "--time", type=moment, metavar="ISO",
        help="true time of its first reading, with offset; without it the time it came with",
    )  # fmt: skip
    release.set_defaults(action=_release)
    discard = _decision(
        steps, config, "discard", "close the record of this reading; it stays on record"
    )
    discard.set_defaults(action=_discard)


def _decision(
    steps: Any, config: argparse.ArgumentParser, name: str, text: str
) -> argparse.ArgumentParser:
    parser = command(steps, config, name, text)
    parser.add_argument("number", type=row_id, help="as `quarantine list` shows it")
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; kept for ever, so no patient's name"
    )
    parser.add_argument("--by", metavar="NAME", help="who decides; default: your account here")
    return parser


async def _list(store: Store, options: argparse.Namespace) -> int:
    found = await store.quarantined(count=_MOST, is_open=not options.all, gateway=options.gateway)
    show(
        ("number", "gateway", "record", "device", "measured", "what", "value", "reason", "state"),
        [
            (
                each.quarantine_id, each.gateway, each.seq, each.device, each.time,
                name_of(each.metric), _value(each), each.reason,
                "waits" if each.is_open else "decided",
            )
            for each in found
        ],
    )  # fmt: skip
    return 0


def _value(row: QuarantinedReading) -> str:
    if row.is_waveform:
        return "a block of samples"
    if row.absent:
        return str(ABSENT_BY_CODE[row.absent]) if row.absent < len(ABSENT_BY_CODE) else "unknown"
    return f"{decimal_from_parts(row.mantissa, row.scale):f} {row.unit}"


async def _show(store: Store, options: argparse.Namespace) -> int:
    _print(await store.quarantine_decisions(options.number))
    return 0


async def _release(store: Store, options: argparse.Namespace) -> int:
    try:
        decisions = await store.release_quarantined(
            options.number, decided_by=_who(options), reason=options.reason, time=options.time
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _print(decisions)
    return 0


async def _discard(store: Store, options: argparse.Namespace) -> int:
    try:
        decisions = await store.discard_quarantined(
            options.number, decided_by=_who(options), reason=options.reason
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _print(decisions)
    return 0


def _who(options: argparse.Namespace) -> str:
    if options.by is not None:
        return str(options.by)
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise ConfigError("this account has no name; say who decides with --by NAME") from None


def _print(decisions: tuple[QuarantineDecision, ...]) -> None:
    show(
        ("number", "decision", "by", "at", "stored as measured at", "reason"),
        [
            (
                each.quarantine_id, each.verdict, each.decided_by, each.decided_at,
                each.time, each.reason,
            )
            for each in decisions
        ],
    )  # fmt: skip
