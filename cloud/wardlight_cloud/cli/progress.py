"""Progress of a long command: a line on standard error now and then."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

_EVERY_S: Final = 2.0


@asynccontextmanager
async def telling(line: Callable[[], str]) -> AsyncIterator[None]:
    """Tell ``line()`` every few seconds while it changes."""
    task = asyncio.create_task(_tell(line), name="progress")
    try:
        yield
    finally:
        task.cancel()


async def _tell(line: Callable[[], str]) -> None:
    told = line()
    while True:
        await asyncio.sleep(_EVERY_S)
        if (now := line()) != told:
            told = now
            sys.stderr.write(f"{now}\n")
            sys.stderr.flush()
