"""PostgreSQL with TimescaleDB as WebAssembly, for one session at a time; emptied between tests.

scripts/peers installs it from tests/support/timescale. It takes one connection, no COPY, and runs
no background jobs; a server of your own (WARDLIGHT_TEST_TIMESCALE_DSN) is used instead where named.
"""

import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from unittest.mock import patch

import asyncpg

from support.peers import require_peer, require_timescale
from support.ports import free_port
from support.waiting import wait_until
from wardlight_cloud.store.postgres import migrate
from wardlight_shared.errors import StorageError

T = TypeVar("T")

DSN_VARIABLE: Final = "WARDLIGHT_TEST_TIMESCALE_DSN"
_READY: Final = b"listening"
_START_S: Final = 90.0
_SERVER: Final = Path("node_modules/@electric-sql/pglite-socket/dist/scripts/server.js")
_EXTENSION: Final = "@electric-sql/pglite/timescaledb:timescaledb"
# DELETE, as TRUNCATE makes new files for each table and index, which this server never cleans up:
# each emptying would take longer than the one before. The days of a hypertable go with TRUNCATE.
_EMPTY: Final = """
DO $$
DECLARE
    name text;
BEGIN
    IF EXISTS (SELECT FROM _timescaledb_catalog.chunk) THEN
        TRUNCATE rollup_1h;
        TRUNCATE rollup_1m;
        TRUNCATE reading;
    END IF;
    PERFORM set_config('session_replication_role', 'replica', true);  -- in any order
    FOR name IN
        SELECT quote_ident(relname)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND relname NOT IN (
                'reading', 'secret', 'schema_version', 'rollup_progress', 'subscription_progress'
            )
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    UPDATE rollup_progress SET commit_seq = 0, series_id = 0, bucket = 'epoch';
    UPDATE subscription_progress
    SET commit_seq = 0, resource_seq = 0, turn = 0, revision = 0, place = NULL;
    PERFORM setval(seqrelid::regclass, seqstart, false)
    FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid
    WHERE relnamespace = 'public'::regnamespace;
END $$
"""


class WebAssemblyServer:
    """The server of the session, started on first use; ``with WebAssemblyServer() as server``."""

    def __init__(self) -> None:
        node = require_peer("node")
        folder = require_timescale()
        port = free_port()
        self.dsn = f"postgresql://postgres:postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        self._command = [
            str(node), str(folder / _SERVER), "--db=memory://", f"--port={port}",
            "--host=127.0.0.1", f"--extensions={_EXTENSION}",
        ]  # fmt: skip
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._is_migrated = False
        self._types: dict[frozenset[int], Any] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self._folder
        )
        self._wait_until_ready(self._process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)  # it has nothing to save
            self._process.communicate()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        # Its own words, not a connection: the one it takes would be used up.
        assert process.stdout is not None
        end = time.monotonic() + _START_S
        said = b""
        while _READY not in said:
            line = process.stdout.readline()
            said += line
            if not line or time.monotonic() > end:
                process.kill()
                raise AssertionError(f"the server did not start: {said.decode(errors='replace')}")

    async def prepare(self) -> None:
        """Make the schema, or remove what the test before left in it."""
        if not self._is_migrated:
            await when_free(lambda: migrate(self.dsn, engine="timescale"))
            self._is_migrated = True
            return
        connection = await when_free(lambda: asyncpg.connect(self.dsn))
        try:
            await connection.execute(_EMPTY)
        finally:
            connection.terminate()  # this server does not answer a goodbye

    @contextmanager
    def types_asked_once(self) -> Iterator[None]:
        """Let the driver ask for the server's data types once, not with each connection.

        The answer is the same for the life of the server, and half of the cost of a short test.
        """
        ask = asyncpg.Connection._introspect_types  # type: ignore[attr-defined]

        async def known(connection: object, numbers: Iterable[int], wait_s: float | None) -> Any:
            key = frozenset(numbers)
            if key not in self._types:
                self._types[key] = await ask(connection, numbers, wait_s)
            return self._types[key]

        with patch.object(asyncpg.Connection, "_introspect_types", known):
            yield


async def when_free(connect: Callable[[], Awaitable[T]]) -> T:
    """Connect once the session before has gone; the server drops a second one at once."""

    async def connected() -> tuple[T] | None:
        try:
            return (await connect(),)
        except (StorageError, asyncpg.PostgresConnectionError, OSError):
            return None

    found: tuple[T] | None = await wait_until(connected, what="the server takes a session")
    assert found is not None
    return found[0]


def own_server_dsn() -> str | None:
    """The TimescaleDB that the person running the tests has named."""
    return os.environ.get(DSN_VARIABLE)
