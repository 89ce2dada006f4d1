"""Commands that do one thing on an opened store."""

import argparse
import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar

from wardlight_cloud.config import Settings
from wardlight_cloud.store.base import Store

PAGE: Final = 500
_T = TypeVar("_T")
_LONGEST_NUMBER: Final = 18  # digits that surely fit a bigint
Action = Callable[[Store, argparse.Namespace], Awaitable[int]]


def command(
    commands: Any, config: argparse.ArgumentParser, name: str, text: str
) -> argparse.ArgumentParser:
    """Add a command; its ``action`` is an Action and gets the store and the options.

    ``options.settings`` are the settings.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, parents=[config], help=text, description=text
    )
    parser.set_defaults(command=_with_store)
    return parser


def row_id(text: str) -> int:
    """The type of an argument that is the number of a row, as a list showed it."""
    if not (text.isascii() and text.isdigit()) or len(text) > _LONGEST_NUMBER:
        raise argparse.ArgumentTypeError("a number as the list shows it: 1, 2, ...")
    return int(text)


def moment(text: str) -> datetime:
    """The type of an argument that is an instant."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError("needs an offset, such as 2026-01-31T08:00+01:00")
    return found


async def all_pages(
    page: Callable[[bytes | None], Awaitable[tuple[tuple[_T, ...], bytes | None]]],
) -> list[_T]:
    """All rows of all pages; ``page`` reads the one of PAGE rows that begins after a cursor."""
    rows, after = await page(None)
    found = list(rows)
    while after is not None:
        rows, after = await page(after)
        found += rows
    return found


def _with_store(settings: Settings, options: argparse.Namespace) -> int:
    if settings.log.level == "info":
        # Right for a service; at a terminal it would stand between the answers.
        logging.getLogger().setLevel(logging.WARNING)
    return asyncio.run(_run(settings, options))


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    # Imported late, as in processes.py.
    from wardlight_cloud.store.open import open_store

    store = await open_store(settings)
    try:
        action: Action = options.action
        options.settings = settings
        return await action(store, options)
    finally:
        await store.close()
