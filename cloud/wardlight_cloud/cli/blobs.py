"""Commands on blobs that are kept and stand on no index: blobs aside, blobs settle."""

import argparse
from typing import Any, Final

from wardlight_cloud.cli.image_objects import sha256
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store

_MOST: Final = 1000
_HEAD: Final = ("since", "gateway", "item", "from", "bytes", "reason", "sha256")


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    text = "files from gateways that are no readable DICOM files: they are kept, and on no index"
    steps = commands.add_parser("blobs", help=text, description=text).add_subparsers(
        metavar="STEP", required=True
    )
    command(steps, config, "aside", "what was set aside, newest first").set_defaults(action=_aside)
    settle = command(
        steps, config, "settle", "take one off the list; the file stays where objects are"
    )
    settle.add_argument("sha256", type=sha256, help="as `blobs aside` shows it")
    settle.set_defaults(action=_settle)


async def _aside(store: Store, _: argparse.Namespace) -> int:
    found = await store.blobs_aside(count=_MOST)
    show(_HEAD, [
        (
            blob.aside_at, blob.source.gateway, blob.source.item, blob.source.calling_ae or None,
            blob.size, blob.reason, blob.sha256.hex(),
        )
        for blob in found
    ])  # fmt: skip
    return 0


async def _settle(store: Store, options: argparse.Namespace) -> int:
    was_there = await store.remove_blob_aside(options.sha256)
    print("taken off the list" if was_there else "not on the list")
    return 0 if was_there else 1
