"""Notices by websocket, with a real server and a real client."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from support.readings import One
from support.served_ward import ANNA, CUFF, MINUTE, START, Ward
from support.subscribed_ward import is_in, subscription
from support.waiting import DEADLINE_S, wait_until
from wardlight_cloud.fhir.subscriptions.subscribing import SOCKETS
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.audit import AuditQuery, AuditRow


@asynccontextmanager
async def served(ward: Ward) -> AsyncIterator[httpx.AsyncClient]:
    """The ward's app behind a port of this machine."""
    config = uvicorn.Config(ward.app, "127.0.0.1", 0, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(), name="server")
    await wait_until(lambda: server.started, what="the server is up")
    port = server.servers[0].sockets[0].getsockname()[1]
    token = new_token()
    await ward.store.put_client("reader", token_hash(token), ["system/*.cruds"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        yield client
    server.should_exit = True
    await task


def told(text: str | bytes) -> dict[str, Any]:
    parameters = json.loads(text)["entry"][0]["resource"]["parameter"]
    return {p["name"]: p.get("part") or next(v for k, v in p.items() if k != "name")
            for p in parameters}  # fmt: skip


async def test_websocket(ward: Ward) -> None:
    async with served(ward) as client:
        wanted = subscription(f"Observation?patient={ANNA}", None)
        answer = await client.post("/fhir/Subscription", json=wanted)
        assert answer.status_code == 201, answer.text
        name = answer.json()["id"]
        await wait_until(lambda: is_in(client, name, "active"), what="it is active")
        given = (await client.get("/fhir/Subscription/$get-ws-binding-token")).json()["parameter"]
        values = {each["name"]: each for each in given}
        assert values["subscription"]["valueString"] == name
        address = values["websocket-url"]["valueUrl"]
        bind = f"bind-with-token {values['token']['valueString']}"
        async with connect(address) as socket:
            await socket.send(bind)
            async with asyncio.timeout(DEADLINE_S):
                assert told(await socket.recv())["type"] == "handshake"
                for number in ("1", "2"):
                    moment = START + int(number) * MINUTE
                    await ward.store_event(One("heart_rate", moment, 71, device=CUFF))
                    notice = told(await socket.recv())
                    assert notice["type"] == "event-notification"
                    assert notice["events-since-subscription-start"] == number
                # A token serves once, and whoever says anything else is not served at all.
                for text in (bind, "bind-with-token wl_nothing", "x" * 5000):
                    async with connect(address) as other:
                        await other.send(text)
                        with pytest.raises(ConnectionClosed):
                            await other.recv()
                await ward.store.remove_client("reader")
                await ward.store_event(One("heart_rate", START + 3 * MINUTE, 71, device=CUFF))
                with pytest.raises(ConnectionClosed):  # off, as soon as that is found
                    await socket.recv()

        async def entries() -> list[AuditRow]:
            rows = await ward.store.audit_events(AuditQuery(None, faces=("notice",)))
            return list(rows) if len(rows) >= 2 else []

        # A frame with events is on record, a handshake is not.
        rows = await wait_until(entries, what="both frames are on record")
        assert [(row.client, row.address, row.patients) for row in rows] == [
            ("reader", "127.0.0.1", (ANNA,))
        ] * 2
        assert {row.resource_id for row in rows} == {name}


async def test_what_is_no_binding_ends_the_connection(
    ward: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    """From whoever it comes, without an error of ours."""
    async with served(ward) as client:
        address = str(client.base_url).replace("http", "ws", 1) + SOCKETS
        for said, code in (
            ({"message": b"\0"}, 1003),
            ({"message": b"\xff", "text": True}, 1007),
            ({"message": "x" * (1 << 20)}, 1008),
            ({"message": ["bind-", "with-", "token nothing"]}, 1008),
            ({"message": [b"\0"] * 9}, 1003),
        ):
            async with connect(address) as socket:
                await socket.send(**said)
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.recv()
                assert caught.value.rcvd is not None and caught.value.rcvd.code == code, said
        async with connect(address) as socket:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(500):
                    await socket.send(b"\0")
    # The library says one sentence of what is no UTF-8, and closes by itself.
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert errors == ["Invalid UTF-8 sequence received from client."]
