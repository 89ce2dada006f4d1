"""The status page's HTTP server: two resources, loopback names only, hostile requests end."""

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from wardlight_edge.config import StatusSettings
from wardlight_edge.health import Snapshot, UplinkSnapshot
from wardlight_edge.outbox.base import Level, OutboxStatus
from wardlight_edge.status import client
from wardlight_edge.status.server import Command, StatusServer
from wardlight_shared.errors import ConfigError, StorageError, TransportError

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


CUFF = "ble:AABBCCDDEEFF"


class Told(msgspec.Struct):
    """What is said to a command, and what it says."""

    text: str


class Operator:
    """Where the page's commands arrive."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.refusal: Exception | None = None

    @property
    def commands(self) -> dict[str, Command]:
        return {"pair": self.pair}

    async def pair(self, body: bytes) -> bytes:
        if self.refusal is not None:
            raise self.refusal
        self.told.append(msgspec.json.decode(body, type=Told).text)
        return body


@pytest.fixture
def operator() -> Operator:
    return Operator()


@pytest_asyncio.fixture
async def server(tmp_path: Path, operator: Operator) -> AsyncIterator[StatusServer]:
    settings = StatusSettings(port=0)
    async with StatusServer(settings, tmp_path, lambda: SNAPSHOT, operator.commands) as running:
        yield running


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 180)
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


async def test_its_files_are_there_while_it_runs(tmp_path: Path, operator: Operator) -> None:
    port, token = tmp_path / "status.port", tmp_path / "status.token"
    tokens = []
    for _ in range(2):
        page = StatusServer(StatusSettings(port=0), tmp_path, lambda: SNAPSHOT, operator.commands)
        async with page as running:
            assert int(port.read_text()) == running.port
            assert stat.S_IMODE(token.stat().st_mode) == 0o600
            tokens.append(token.read_text())
        assert not port.exists()
        assert not token.exists()
    assert tokens[0] != tokens[1]


async def test_taken_port_says_which_key_to_change(
    server: StatusServer, tmp_path: Path, operator: Operator
) -> None:
    settings = StatusSettings(port=server.port)
    taken = StatusServer(settings, tmp_path / "p", lambda: SNAPSHOT, operator.commands)
    with pytest.raises(TransportError, match=r"\[status\] port"):
        async with taken:
            pass


async def told(server: StatusServer, token: str, text: str, name: str = "pair") -> Told:
    return await asyncio.to_thread(
        client.command, server.port, "127.0.0.1", token, name, Told(text), Told
    )


async def test_who_can_read_the_token_may_command(
    server: StatusServer, tmp_path: Path, operator: Operator
) -> None:
    token = (tmp_path / "status.token").read_text().strip()
    assert (await told(server, token, CUFF)).text == CUFF
    assert operator.told == [CUFF]
    with pytest.raises(TransportError, match="no such command"):
        await told(server, token, CUFF, "dance")
    refusals: list[tuple[Exception, type[Exception]]] = [
        (ConfigError(f"{CUFF}: not a Bluetooth device of this gateway"), ConfigError),
        (TransportError("no system D-Bus; try again later"), TransportError),
        (StorageError("devices.toml: not written"), TransportError),
    ]
    for refusal, kind in refusals:
        operator.refusal = refusal
        with pytest.raises(kind, match=str(refusal)):
            await told(server, token, CUFF)


@pytest.mark.parametrize("token", ["", "guess", "gu\u00e9ss"])
async def test_without_the_token_nothing_is_done(
    server: StatusServer, operator: Operator, token: str
) -> None:
    with pytest.raises(TransportError, match="token is not the gateway's"):
        await told(server, token, CUFF)
    bare = b"POST /devices/pair HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert (await ask(server.port, bare)).split(b" ")[1] == b"403"
    assert not operator.told


@pytest.mark.parametrize("length", [b"99999", b"-1", b"1e3", b"\xb2", b"9000"])
async def test_a_body_that_is_too_long_is_no_body(
    server: StatusServer, tmp_path: Path, operator: Operator, length: bytes
) -> None:
    token = (tmp_path / "status.token").read_bytes().strip()
    head = b"POST /devices/pair HTTP/1.1\r\nAuthorization: Bearer " + token
    answer = await ask(server.port, head + b"\r\nContent-Length: " + length + b"\r\n\r\n{}")
    assert not answer.startswith(b"HTTP/1.1 200")
    assert not operator.told


async def test_a_client_without_a_gateway_says_so() -> None:
    with pytest.raises(client.GatewaySilentError, match="does not answer"):
        await asyncio.to_thread(client.fetch, 1, "127.0.0.1")
