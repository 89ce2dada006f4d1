"""Commands on the objects of images: images scrub, rebuild, retention."""

import argparse
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.config import Settings
from wardlight_cloud.store.base import Store

_BATCH: Final = 500
_MOST: Final = 1000
_FAST: Final = 1 << 40
_DIGITS_OF_HASH: Final = 64

# What reads images and opens the object store is imported late: most commands need none of it.


def add_commands(steps: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    scrub = command(
        steps, config, "scrub", "what checks have found; or check every object's hash now"
    )
    scrub.add_argument("--now", action="store_true", help="read every object now, unpaced")
    scrub.add_argument("--ended", action="store_true", help="show findings that ended too, and how")
    scrub.set_defaults(action=_scrub)
    rebuild = command(steps, config, "rebuild", "put objects on the index that are missing there")
    rebuild.add_argument(
        "--all", action="store_true",
        help="empty the index first and make all of it again; searches find little meanwhile",
    )  # fmt: skip
    rebuild.set_defaults(action=_rebuild)
    retention = command(
        steps, config, "retention", "what the rules of [[images.keep]] would remove now"
    )
    retention.add_argument("--apply", action="store_true", help="remove it")
    retention.set_defaults(action=_retention)


def sha256(text: str) -> bytes:
    """The type of an argument that is a SHA-256."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(text) != _DIGITS_OF_HASH or not found:
        raise argparse.ArgumentTypeError("64 hex digits, as `images versions` shows them")
    return found


@contextlib.asynccontextmanager
async def opened_intake(settings: Settings, store: Store) -> AsyncIterator[Any]:
    """An ImageIntake for one command."""
    from wardlight_cloud.imaging.intake import ImageIntake
    from wardlight_cloud.imaging.matching import Issuers
    from wardlight_cloud.imaging.pool import HeaderPool
    from wardlight_cloud.store.objects import open_objects

    objects = await open_objects(settings)
    try:
        async with HeaderPool(settings.images) as headers:
            yield ImageIntake(store, objects, headers, issuers=Issuers.of(settings.images))
    finally:
        await objects.close()


async def _scrub(store: Store, options: argparse.Namespace) -> int:
    if options.now:
        await _check_all(store, options.settings)
    totals = await store.object_totals()
    print(
        f"{totals.objects} objects, {totals.size_bytes} bytes; {totals.cold} of them cold, "
        f"{totals.cold_bytes} bytes"
    )
    show(
        ("object", "finding", "found"),
        [
            (each.sha256.hex(), each.kind, each.found_at)
            for each in await store.findings(count=_MOST)
        ],
    )
    if options.ended:
        show(
            ("object", "finding", "found", "ended", "how"),
            [
                (each.sha256.hex(), each.kind, each.found_at, each.resolved_at, each.ended or "-")
                for each in await store.ended_findings(count=_MOST)
            ],
        )
    return 1 if totals.findings else 0


async def _check_all(store: Store, settings: Settings) -> None:
    from wardlight_cloud.imaging.scrub import Scrub
    from wardlight_cloud.store.objects import open_objects

    objects = await open_objects(settings)
    try:
        scrub = Scrub(store, objects, days=1, bytes_per_s=_FAST)
        started = datetime.now(UTC)
        while due := await store.objects_to_check(before=started, count=_BATCH):
            for each in due:
                await scrub.check(each)
        await scrub.note_unindexed()
    finally:
        await objects.close()


async def _rebuild(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.imaging.matching import Issuers
    from wardlight_cloud.imaging.pool import HeaderPool
    from wardlight_cloud.imaging.rebuild import Rebuilt, rebuild
    from wardlight_cloud.store.objects import open_objects

    def told(done: Rebuilt) -> None:
        sys.stderr.write(f"\r{done.objects} objects")

    settings: Settings = options.settings
    objects = await open_objects(settings)
    try:
        async with HeaderPool(settings.images) as headers:
            done = await rebuild(
                store, objects, headers, issuers=Issuers.of(settings.images),
                everything=options.all, told=told if sys.stderr.isatty() else lambda _: None,
            )  # fmt: skip
    finally:
        await objects.close()
    print(
        f"{done.objects} objects: {done.stored} put on the index, {done.known} known, "
        f"{done.versions} versions of others, {done.buried} that a rule removed before"
    )
    for reason, count in sorted(done.refused.items()):
        print(f"{count} are no instance: {reason}")
    return 0


async def _retention(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.imaging.retention import Retention
    from wardlight_cloud.store.objects import open_objects

    objects = await open_objects(options.settings)
    try:
        retention = Retention(store, objects, options.settings.images.keep)
        rows = [
            (rule.name, study)
            for rule in await retention.rules()
            for study in await store.due_studies(rule, count=_MOST)
        ]
        show(("rule", "study"), rows)
        if options.apply:
            while await retention.turn():
                pass
            print("removed")
    finally:
        await objects.close()
    return 0
