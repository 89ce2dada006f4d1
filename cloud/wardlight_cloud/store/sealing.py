"""Cursors of searches whose pages are not the store's own: a part of the store's Protocol."""

from typing import Protocol


class CursorStore(Protocol):
    """Nobody can read, make or alter a sealed position, or use it in another search."""

    def seal_cursor(self, position: bytes, search: str) -> bytes:
        """A position in a search as a cursor."""

    def open_cursor(self, cursor: bytes, search: str) -> bytes:
        """The position; ValueError for a cursor that is not ours or of another search."""
