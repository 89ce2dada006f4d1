"""The baseline of FHIR reads: a page of stored JSON by the shortest way through ASGI and asyncpg.

``python -m wardlight_lab.bench.bare_asgi --dsn DSN --port P`` answers
``GET /fhir/Observation?patient=&date=ge..&date=lt..&_count=`` with a Bundle joined from finished
JSON of the table ``stored_observation``. No router, no framework, no token, no parameter but these,
no cursor, no mapping from columns; uvicorn with the settings of ``wardlight-cloud serve``.
``GET /constant`` answers with the last such page as it is: what HTTP and ASGI cost by themselves.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

import asyncpg
import uvicorn

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TABLE: Final = """
CREATE TABLE IF NOT EXISTS stored_observation (
    patient uuid NOT NULL,
    time timestamptz NOT NULL,
    id text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (patient, time, id)
)
"""
_PAGE: Final = """
SELECT body FROM stored_observation
WHERE patient = $1 AND time >= $2 AND time < $3 ORDER BY time DESC, id DESC LIMIT $4
"""
_POOL: Final = 8
_HEAD: Final = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":'
_BETWEEN: Final = b'},{"resource":'
_TAIL: Final = b"}]}"


class BareApp:
    """The whole application."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._last = b"{}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["path"] != "/constant":
            self._last = await self._page(scope["query_string"].decode())
        headers = [
            (b"content-type", b"application/fhir+json"),
            (b"content-length", str(len(self._last)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._last})

    async def _page(self, text: str) -> bytes:
        values = parse_qsl(text)
        dates = dict(_bound(text) for name, text in values if name == "date")
        found = dict(values)
        if self._pool is None:
            raise RuntimeError("not started")
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                _PAGE, UUID(found["patient"]), dates["ge"], dates["lt"], int(found["_count"])
            )
        return _HEAD + _BETWEEN.join([row[0] for row in rows]) + _TAIL

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._pool = await asyncpg.create_pool(self._dsn, min_size=_POOL, max_size=_POOL)
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._pool is not None:
                    await self._pool.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _bound(text: str) -> tuple[str, datetime]:
    return text[:2], datetime.fromisoformat(text[2:])


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.bench.bare_asgi")
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        BareApp(options.dsn), host="127.0.0.1", port=options.port, log_config=None, access_log=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
