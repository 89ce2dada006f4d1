"""Pages whose cursors nobody can read, make, or take to another search.

find = sealed(find, store, "Flag", honoured)      # as Answer.of_pages takes it

Errors  ValueError for a cursor that is not one of this search
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from wardlight_cloud.fhir.paging import CURSOR, SUMMARY, TOTAL, Parameters
from wardlight_cloud.store.sealing import CursorStore

_Row = TypeVar("_Row")
_Find = Callable[..., Awaitable[tuple[tuple[_Row, ...], bytes | None]]]
_OF_PAGES: Final = frozenset({"_count", CURSOR, SUMMARY, TOTAL})


def search_name(path: str, honoured: Parameters) -> str:
    """What a cursor belongs to: all of a search but the size of its pages."""
    return repr((path, [pair for pair in honoured if pair[0] not in _OF_PAGES]))


def sealed(find: _Find[_Row], store: CursorStore, path: str, honoured: Parameters) -> _Find[_Row]:
    """The same search, with sealed cursors."""
    name = search_name(path, honoured)

    async def page(*, count: int, after: bytes | None) -> tuple[tuple[_Row, ...], bytes | None]:
        place = None if after is None else store.open_cursor(after, name)
        rows, following = await find(count=count, after=place)
        return rows, None if following is None else store.seal_cursor(following, name)

    return page
