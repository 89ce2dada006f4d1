"""Waiting for a condition with a deadline: the only place in the tests that polls."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

DEADLINE_S = 30.0
PATIENCE = 5  # a machine may be slow and busy: what a test allows is for an idle one of two cores
INTERVAL_S = 0.02
MOST_INTERVAL_S = 0.5
SHARE = (
    3  # a condition that is dear takes no more than a quarter of the time from what it waits for
)


@overload
async def wait_until(
    condition: Callable[[], Awaitable[T]], deadline_s: float = ..., what: str = ...
) -> T: ...


@overload
async def wait_until(condition: Callable[[], T], deadline_s: float = ..., what: str = ...) -> T: ...


async def wait_until(
    condition: Callable[[], Any], deadline_s: float = DEADLINE_S, what: str = ""
) -> Any:
    """The first truthy result of `condition`, plain or async; AssertionError when it is late."""
    deadline_s *= PATIENCE
    end = time.monotonic() + deadline_s
    while True:
        begun = time.monotonic()
        result = condition()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_late(what or _name(condition), deadline_s, value))
        await asyncio.sleep(_interval_s(begun))


async def let_run(turns: int = 20) -> None:
    """Let other tasks run until all of them wait, for what needs no more than the loop itself."""
    for _ in range(turns):
        await asyncio.sleep(0)


def wait_until_sync(
    condition: Callable[[], T], deadline_s: float = DEADLINE_S, what: str = ""
) -> T:
    """As `wait_until`, for tests without an event loop."""
    deadline_s *= PATIENCE
    end = time.monotonic() + deadline_s
    while True:
        begun = time.monotonic()
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_late(what or _name(condition), deadline_s, value))
        time.sleep(_interval_s(begun))


def _interval_s(begun: float) -> float:
    """Until the condition is asked again that was asked at ``begun``."""
    return min(max(INTERVAL_S, SHARE * (time.monotonic() - begun)), MOST_INTERVAL_S)


def _name(condition: Callable[[], object]) -> str:
    return getattr(condition, "__qualname__", repr(condition))


def _late(what: str, deadline_s: float, last: object) -> str:
    return f"not within {deadline_s:g} s: {what} (last result: {last!r})"
