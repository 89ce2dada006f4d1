"""The command ``images reads``: who looked at whose images, when and by which face."""

import argparse
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store

_MOST: Final = 10_000


def add_commands(steps: Any, config: argparse.ArgumentParser) -> None:
    """Add the parser of the command."""
    found = command(
        steps, config, "reads", "who looked at images: users, clients and nodes, the latest first"
    )
    found.add_argument("--study", metavar="STUDY-UID", help="of this study")
    found.add_argument("--patient", type=UUID, metavar="ID", help="of a patient of the register")
    found.add_argument("--who", metavar="NAME", help="login, name of a client, or AE title")
    found.add_argument("--since", type=_day, metavar="YYYY-MM-DD", help="on this day UTC or later")
    found.add_argument("--count", type=int, default=100, metavar="N", help="at most, default 100")
    found.set_defaults(action=_reads)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day, for instance 2026-01-31") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def _reads(store: Store, options: argparse.Namespace) -> int:
    found = await store.image_reads(
        study_uid=options.study, patient=options.patient, reader=options.who, since=options.since,
        count=min(max(options.count, 1), _MOST),
    )  # fmt: skip
    show(
        ("last", "first", "kind", "who", "face", "requests", "study"),
        [
            (
                each.last_at, each.first_at, each.reader.kind, each.reader.name, each.face,
                each.requests, each.study_uid,
            )
            for each in found
        ],
    )  # fmt: skip
    return 0
