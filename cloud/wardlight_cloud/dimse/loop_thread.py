"""Calls from threads of associations into the event loop that has the store."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, TypeVar

from wardlight_shared.errors import StorageError

_T = TypeVar("_T")
_ENDED: Final = object()


class LoopCalls:
    """Runs coroutines in a loop of another thread; each call has a limit.

    Errors  StorageError when the limit is over or the loop has ended; else what it raises
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s

    def call(self, made: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine; must not be called by the loop's own thread."""
        try:
            future = asyncio.run_coroutine_threadsafe(made, self._loop)
        except RuntimeError as error:  # the loop is closed
            made.close()
            raise StorageError("the process ends") from error
        try:
            return future.result(self._timeout_s)
        except (FutureTimeoutError, CancelledError) as error:
            future.cancel()
            raise StorageError(f"no answer within {self._timeout_s} s") from error

    def each(self, pieces: AsyncIterator[_T]) -> Iterator[_T]:
        """The pieces of an asynchronous iterator, one at a time."""
        while (piece := self.call(_next(pieces))) is not _ENDED:
            yield piece  # type: ignore[misc]


async def _next(pieces: AsyncIterator[_T]) -> _T | object:
    return await anext(pieces, _ENDED)
