"""How a connection ends whose client is gone: without an error, and not counted any more."""

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
