"""``wardlight-edge dicom``: the DICOM services of the gateway, and what their spool keeps back."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wardlight_edge.cli.arguments import Command, Commands, add_command
from wardlight_edge.config import load
from wardlight_shared.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from wardlight_edge.spool.attention import Attention

_STATES = ("waiting", "refused", "damaged", "cloud-aside", "aside", "given-up", "dropped")
_KEPT_BACK = _STATES[1:-1]


def add(commands: Commands) -> None:
    """Add the commands."""
    text = (
        "take images from modalities until SIGTERM or Ctrl-C; items, retry and drop: what is kept "
        "back"
    )
    sub = add_command(commands, "dicom", _dicom, text)
    actions = sub.add_subparsers(metavar="{items,retry,drop}")
    items = _add(
        actions, "items", _items,
        "list what the collector refused or set aside, what this disk spoilt: since when, why",
    )  # fmt: skip
    items.add_argument(
        "--state", action="append", choices=_STATES, default=[], dest="states",
        help=f"only these, may be given again (default: {', '.join(_KEPT_BACK)})",
    )  # fmt: skip
    items.add_argument("--json", action="store_true", help="print JSON")
    retry = _add(actions, "retry", _retry, "give entries of `dicom items` another try")
    retry.add_argument("entries", metavar="ITEM", nargs="+", help="as `dicom items` names it")
    drop = _add(
        actions, "drop", _drop,
        "give entries of `dicom items` up for good: their room is free, the cloud is told that "
        "they are lost",
    )  # fmt: skip
    drop.add_argument("entries", metavar="ITEM", nargs="+", help="as `dicom items` names it")


def _add(actions: Commands, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    sub = actions.add_parser(name, help=text, description=text)
    # Without a default: it would replace what stands before the name of the action.
    sub.add_argument(
        "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="settings file"
    )
    sub.set_defaults(command=command)
    return sub


def _dicom(options: argparse.Namespace) -> int:
    settings = load(options.config)
    # pydicom takes numpy where it finds it; without pixels to decode it costs memory only.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    from wardlight_edge.dicom.process import run
    from wardlight_edge.logs import configure

    configure(settings.log)
    return run(settings)


def _items(options: argparse.Namespace) -> int:
    with _attention(options) as attention:
        found = attention.entries(tuple(options.states) or _KEPT_BACK)
    if options.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return 0
    for each in found:
        since = datetime.fromtimestamp(each.since_ms / 1000, UTC)
        size = "-" if each.size is None else f"{each.size}"
        sys.stdout.write(
            f"{each.entry:<20} {each.state:<11} {since:%Y-%m-%d %H:%M} UTC  {size:>12}  "
            f"{each.kind}: {each.why}\n"
        )
    if not found:
        sys.stdout.write("nothing\n")
    return 0


def _retry(options: argparse.Namespace) -> int:
    with _attention(options) as attention:
        return _each(options.entries, attention.retry)


def _drop(options: argparse.Namespace) -> int:
    with _attention(options) as attention:
        return _each(options.entries, attention.drop)


def _each(entries: Sequence[str], action: Callable[[str], str]) -> int:
    failed = 0
    for entry in entries:
        try:
            sys.stdout.write(action(entry) + "\n")
        except (ConfigError, StorageError) as error:
            failed += 1
            sys.stderr.write(f"wardlight-edge: {error}\n")
    return 1 if failed else 0


@contextmanager
def _attention(options: argparse.Namespace) -> Iterator["Attention"]:
    from wardlight_edge.outbox.key import read_or_make
    from wardlight_edge.spool.attention import Attention
    from wardlight_edge.spool.opening import open_sending
    from wardlight_edge.spool.setting_aside import FILE, FOLDER

    settings = load(options.config)
    if not (settings.data_dir / FOLDER / FILE).exists():
        raise ConfigError(f"{settings.data_dir}: this gateway has taken no images yet")
    key = read_or_make(settings.key_file or settings.data_dir / "outbox.key")
    spool = open_sending(settings.data_dir, key)
    if spool is None:
        raise ConfigError(f"{settings.data_dir}: this gateway has taken no images yet")
    with closing(spool):
        yield Attention(spool.database, spool.sealer, key)
