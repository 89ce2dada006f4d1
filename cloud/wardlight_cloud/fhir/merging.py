"""Searches of resources from two sources in one order: what is made here, and what is stored.

Each source gives pages in the order of ``key`` and says for each entry from where its next page
would go on. A page is the first entries of both together; its cursor holds a place in each source,
so that nothing is skipped or repeated between pages, whichever source an entry comes from.

Errors  ValueError for a cursor that is not one of this search
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

_MAGIC: Final = b"wl-2"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource. ``key``: where it stands in the search; ``place``: behind it, as a cursor."""

    key: Any
    kind: str
    id: str
    text: Callable[[], bytes]
    place: bytes | None = None
    row: Any = None


@dataclass(frozen=True, slots=True)
class SourcePage:
    """Entries in the order of their keys; ``is_more``: there are others behind them."""

    entries: Sequence[Entry]
    is_more: bool


class Source(Protocol):
    """One of the two."""

    async def page(self, after: bytes | None, count: int) -> SourcePage:
        """Up to ``count`` entries behind a place; None = from the beginning."""

    def place_of(self, entry: Entry) -> bytes:
        """The cursor behind an entry of its page."""


@dataclass(frozen=True, slots=True)
class MergedPage:
    """A page of both and the cursor of the next; None = this was the last."""

    entries: Sequence[Entry]
    next: bytes | None


def is_merged(cursor: bytes | None) -> bool:
    """Whether a cursor is that of a page of several sources."""
    return cursor is not None and cursor.startswith(_MAGIC)


async def merged(sources: Sequence[Source], after: bytes | None, count: int) -> MergedPage:
    """The next page."""
    places = _opened(after, len(sources))
    pages = [await source.page(place, count) for source, place in zip(sources, places, strict=True)]
    taken = _first(pages, count)
    chosen = [
        (entry, source)
        for source, (page, own) in enumerate(zip(pages, taken, strict=True))
        for entry in page.entries[:own]
    ]
    chosen.sort(key=lambda each: each[0].key)
    is_more = False
    for at, (source, page, own) in enumerate(zip(sources, pages, taken, strict=True)):
        is_more |= page.is_more or own < len(page.entries)
        if own:
            places[at] = source.place_of(page.entries[own - 1])
    cursor = _MAGIC + msgspec.msgpack.encode(places) if is_more else None
    return MergedPage([entry for entry, _ in chosen], cursor)


def _first(pages: Sequence[SourcePage], count: int) -> list[int]:
    """How many entries of each source are among the first ``count``.

    Behind the last entry of a page that is not the last of its source nothing is known of that
    source: entries of the other one from there on wait.
    """
    horizon = [page.entries[-1].key for page in pages if page.is_more and page.entries]
    keys = sorted(
        (entry.key, source, at)
        for source, page in enumerate(pages)
        for at, entry in enumerate(page.entries)
        if all(entry.key <= end for end in horizon)
    )[:count]
    return [sum(1 for _, source, _ in keys if source == at) for at in range(len(pages))]


def _opened(cursor: bytes | None, sources: int) -> list[bytes | None]:
    if cursor is None:
        return [None] * sources
    if not cursor.startswith(_MAGIC):  # of a page that the first source alone had
        return [cursor, *[None] * (sources - 1)]
    try:
        places = msgspec.msgpack.decode(cursor[len(_MAGIC) :], type=list[bytes | None])
    except msgspec.DecodeError as error:
        raise ValueError("not a cursor of this search") from error
    if len(places) != sources:
        raise ValueError("not a cursor of this search")
    return places
