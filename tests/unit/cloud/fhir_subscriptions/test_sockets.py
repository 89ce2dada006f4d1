"""How a connection ends: without an error, whatever is said, and not counted any more."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message
from starlette.websockets import WebSocket

from support.subscribed_ward import extension, subscription
from wardlight_cloud.fhir.subscriptions import sockets as sockets_module
from wardlight_cloud.fhir.subscriptions.signals import News
from wardlight_cloud.fhir.subscriptions.sockets import Sockets
from wardlight_cloud.store.subscriptions import (
    Subscriber,
    SubscriptionEvent,
    SubscriptionRow,
    SubscriptionState,
)


async def test_a_client_that_is_gone_cannot_be_told_goodbye() -> None:
    """The server has an OSError for who writes to it, as ASGI 2.4 says."""
    said: list[str] = []
    coming: list[Message] = [
        {"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006},
    ]  # fmt: skip

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        said.append(message["type"])
        if message["type"] == "websocket.close":
            raise OSError

    sockets = Sockets(None, News())  # type: ignore[arg-type]
    await sockets.serve(WebSocket({"type": "websocket"}, receive, send))
    assert said == ["websocket.accept", "websocket.close"]
    assert not sockets._open


_PIECES: Final[st.SearchStrategy[dict[str, Any]]] = st.one_of(
    st.text(max_size=600).map(lambda text: {"text": text}),
    st.text(max_size=20).map(lambda text: {"text": "bind-with-token " + text}),
    st.binary(max_size=600).map(lambda data: {"bytes": data}),
    st.binary(max_size=600).map(lambda data: {"bytes": data, "text": None}),
    st.just({}),
)


class _Nothing:
    """A store with no bindings."""

    async def use_binding(self, token_sha256: bytes) -> None:
        assert len(token_sha256) == 32


@given(st.lists(_PIECES, max_size=4))
@example([{"bytes": b"\0"}])
@example([{"text": "x" * (1 << 20)}])
@example([{"text": "bind-with-token "}])
async def test_whatever_is_said_ends_in_a_close(said: list[dict[str, Any]]) -> None:
    sent: list[Message] = []
    coming: list[Message] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", **each} for each in said),
        {"type": "websocket.disconnect", "code": 1006},
    ]

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    sockets = Sockets(_Nothing(), News())  # type: ignore[arg-type]
    await sockets.serve(WebSocket({"type": "websocket"}, receive, send))
    assert [each["type"] for each in sent] == ["websocket.accept", "websocket.close"]
    is_binary = bool(said) and said[0].get("text") is None
    assert sent[1]["code"] == (1003 if is_binary else 1008 if said else 1001)
    assert not sockets._open


class _Bound:
    """A store with one active subscription that anybody binds."""

    def __init__(self, row: SubscriptionRow) -> None:
        self._rows = (row,)

    async def use_binding(self, _: bytes) -> tuple[str, ...]:
        return ("s1",)

    async def subscriptions(self, _: Any) -> tuple[SubscriptionRow, ...]:
        return self._rows


@pytest.mark.parametrize(
    ("state", "beat_s", "at"),
    [
        (SubscriptionState.ACTIVE, 10, [10, 20, 30, 40, 50]),
        (SubscriptionState.ACTIVE, 13, [13, 26, 39, 52]),
        (SubscriptionState.ACTIVE, 3600, []),
        (SubscriptionState.ERROR, 10, []),
    ],
)
async def test_heartbeats_come_when_they_are_due(
    monkeypatch: pytest.MonkeyPatch, state: SubscriptionState, beat_s: int, at: list[int]
) -> None:
    """Also the first one of what is bound right after a look: by a clock that only waits move."""
    beat = extension("heartbeat-period", valueUnsignedInt=beat_s)
    body = orjson.dumps(subscription("Task", None, extensions=[beat]))
    who = Subscriber("ehr", None, None, ("system/*.rs",), "https://x/fhir")
    row = SubscriptionRow(
        "s1", who, who.scopes, 1, 1, 1, state, state, "", body, True, 0, 0, 0, None, None
    )
    clock, beats = [0.0], list[float]()
    waiting, bound, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(sockets_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    class Waited(News):
        async def wait(self, timeout_s: float) -> None:
            waiting.set()
            await bound.wait()
            clock[0] += timeout_s
            if clock[0] >= 59:
                over.set()
                await asyncio.Event().wait()

    said: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "bind-with-token x"},
    ]

    async def receive() -> Message:
        if len(said) == 1:
            await waiting.wait()
        if said:
            return said.pop(0)
        bound.set()
        await over.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        if '"heartbeat"' in message.get("text", ""):
            beats.append(clock[0])

    sockets = Sockets(_Bound(row), Waited())  # type: ignore[arg-type]
    await sockets.serve(WebSocket({"type": "websocket"}, receive, send))
    assert beats == at


class _Busy(_Bound):
    """One whose events come faster than they are taken: 50 before its first notice.

    ``may``: what the client may do after so many notices.
    """

    def __init__(self, row: SubscriptionRow, may: Sequence[tuple[str, ...] | None]) -> None:
        self.row = row
        self.may = may
        self.notices = 0

    async def subscriptions(self, _: Any) -> tuple[SubscriptionRow, ...]:
        allowed = self.may[min(self.notices, len(self.may) - 1)]
        return (replace(self.row, allowed=allowed),)

    async def subscription_events(
        self, _: str, *, first: int, last: int, count: int
    ) -> tuple[SubscriptionEvent, ...]:
        moment = datetime(2026, 3, 2, tzinfo=UTC)
        return tuple(
            SubscriptionEvent(number, number, moment, "Task", "t", (), is_left=False)
            for number in range(first, min(last, first + count - 1) + 1)
        )


@pytest.mark.parametrize(
    ("may", "types"),
    [
        ([("system/*.rs",)], ["handshake", *["event-notification"] * 5]),
        ([("system/*.rs",)] * 3 + [None], ["handshake", *["event-notification"] * 3]),
        (
            [("system/*.rs",)] * 2 + [("system/Flag.rs",)],
            ["handshake", *["event-notification"] * 2],
        ),
        ([None], []),
        ([("system/Flag.rs",)], []),
    ],
)
async def test_permission_is_looked_at_for_each_frame(
    may: Sequence[tuple[str, ...] | None], types: list[str]
) -> None:
    """Of what is owed already, too; who has lost it before binding is not even greeted."""
    body = orjson.dumps(
        subscription(
            "Task", None, "empty", extensions=[extension("max-count", valuePositiveInt=10)]
        )
    )
    who = Subscriber("ehr", None, None, ("system/*.rs",), "https://x/fhir")
    row = SubscriptionRow(
        "s1", who, who.scopes, 1, 1, 1, SubscriptionState.ACTIVE, SubscriptionState.ACTIVE, "",
        body, True, 0, 0, 0, None, None,
    )  # fmt: skip
    store = _Busy(row, may)
    told, quiet = list[str](), asyncio.Event()

    class Quiet(News):
        async def wait(self, timeout_s: float) -> None:
            if told:
                quiet.set()
            await asyncio.sleep(0)

    said: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "bind-with-token x"},
    ]

    async def receive() -> Message:
        if said:
            return said.pop(0)
        await quiet.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        if "text" in message:
            (status, *_) = orjson.loads(message["text"])["entry"]
            values = {each["name"]: each for each in status["resource"]["parameter"]}
            told.append(values["type"]["valueCode"])
            store.notices += told[-1] == "event-notification"
            store.row = replace(row, last_number=50)

    await Sockets(store, Quiet()).serve(  # type: ignore[arg-type]
        WebSocket({"type": "websocket"}, receive, send)
    )
    assert told == types
