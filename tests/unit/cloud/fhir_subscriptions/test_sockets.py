"""How a connection ends: without an error, whatever is said, and not counted any more."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message
from starlette.websockets import WebSocket

from wardlight_cloud.fhir.subscriptions.signals import News
from wardlight_cloud.fhir.subscriptions.sockets import Sockets


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


_PIECES = st.one_of(
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
