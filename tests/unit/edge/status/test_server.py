"""The status page's HTTP server: two resources, loopback names only, hostile requests end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from wardlight_edge.config import StatusSettings
from wardlight_edge.health import Snapshot, UplinkSnapshot
from wardlight_edge.outbox.base import Level, OutboxStatus
from wardlight_edge.status.server import StatusServer
from wardlight_shared.errors import TransportError

SNAPSHOT = Snapshot(
    gateway="gw-test", software="0", uptime_s=1, clock_quality="ntp", clock_error_ms=None,
    memory_bytes=1, open_files=1, devices=(), trouble=(),
    uplink=UplinkSnapshot(
        connected=True, state_age_s=0, last_ack_age_s=0, round_trip_ms=1, in_flight_batches=0,
        reason=None,
    ),
    outbox=OutboxStatus(
        epoch=1, boot=1, records=0, leased=0, rejected=0, lowest=0, highest=0,
        oldest_wall_ms=None, size_bytes=0, quota_bytes=1, free_disk_bytes=1, level=Level.NORMAL,
        appended=0, refused=0, settled=0, thinned=0, salvaging=False,
    ),
)  # fmt: skip


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[StatusServer]:
    settings = StatusSettings(port=0)
    async with StatusServer(settings, tmp_path / "status.port", lambda: SNAPSHOT) as running:
        yield running


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_page_and_json(server: StatusServer) -> None:
    page = await ask(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n")
    assert page.startswith(b"HTTP/1.1 200 OK")
    assert b"Gateway gw-test" in page
    answer = await ask(server.port, b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["gateway"] == "gw-test"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
    ],
)
async def test_everything_else_is_refused(
    server: StatusServer, request_bytes: bytes, status: bytes
) -> None:
    assert (await ask(server.port, request_bytes)).split(b" ")[1] == status


@pytest.mark.parametrize("request_bytes", [b"", b"\xff" * 20_000, b"GET /"])
async def test_garbage_ends_the_connection_and_nothing_else(
    server: StatusServer, request_bytes: bytes
) -> None:
    with contextlib.suppress(ConnectionError):
        assert await ask(server.port, request_bytes) == b""
    answer = await ask(server.port, b"GET / HTTP/1.1\r\nHost: [::1]:9\r\n\r\n")
    assert b"200 OK" in answer


async def test_port_file_names_the_port_while_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "status.port"
    async with StatusServer(StatusSettings(port=0), file, lambda: SNAPSHOT) as running:
        assert int(file.read_text()) == running.port
    assert not file.exists()


async def test_taken_port_says_which_key_to_change(server: StatusServer, tmp_path: Path) -> None:
    taken = StatusServer(StatusSettings(port=server.port), tmp_path / "p", lambda: SNAPSHOT)
    with pytest.raises(TransportError, match=r"\[status\] port"):
        async with taken:
            pass
