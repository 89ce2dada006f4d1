"""An API that was started before its database: it answers, says so, and goes on by itself.

Until the store is open every path but the probes answers 503, to clients of FHIR with an
OperationOutcome. One line in the log says that the
database is away, one that it is there.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from wardlight_cloud.fhir.entrance import PATH
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError, StorageError

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_ALWAYS_ANSWERED: Final = frozenset({"/healthz", "/readyz", "/metrics"})

Open = Callable[[], Awaitable[Store]]
Use = Callable[[Store], contextlib.AbstractAsyncContextManager[None]]


class Gate:
    """ASGI middleware: 503 until ``is_open`` says that there is a store."""

    def __init__(self, app: ASGIApp, is_open: Callable[[], bool]) -> None:
        self._app = app
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or self._is_open() or scope["path"] in _ALWAYS_ANSWERED:
            await self._app(scope, receive, send)
            return
        await _not_yet(scope["path"])(scope, receive, send)


def _not_yet(path: str) -> Response:
    text = "The database does not answer yet; try again in a moment."
    headers = {"Retry-After": "5", "Cache-Control": "no-store"}
    if f"{path}/".startswith(f"{PATH}/"):
        return FhirError(503, "transient", text, headers=headers).response()
    return PlainTextResponse(f"{text}\n", 503, headers)


@contextlib.asynccontextmanager
async def opened_when_there(open_store: Open, use: Use) -> AsyncIterator[None]:
    """Open the store, now or as soon as its database answers, and use it while inside.

    Raises ConfigError when the settings or the schema are wrong; found later, that ends the
    process as SIGTERM does.
    """
    try:
        store = await open_store()
    except StorageError as error:
        _log.warning("waiting for the database", extra={"error": str(error)})
    else:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            await stack.enter_async_context(use(store))
            yield
        return
    over = asyncio.Event()
    task = asyncio.create_task(_open_later(open_store, use, over), name="open the store")
    try:
        yield
    finally:
        over.set()
        await task


async def _open_later(open_store: Open, use: Use, over: asyncio.Event) -> None:
    backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    while not await _is_over(over, backoff.failed()):
        try:
            store = await open_store()
        except StorageError:
            continue
        except ConfigError as error:
            _log.error("the store cannot be opened", extra={"error": str(error)})
            signal.raise_signal(signal.SIGTERM)
            return
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            await stack.enter_async_context(use(store))
            _log.info("the database is there", extra={"tries": backoff.failures + 1})
            await over.wait()
        return


async def _is_over(over: asyncio.Event, pause_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await over.wait()
    return over.is_set()
