"""A receiver of notices: an HTTP server that takes, refuses, or says nothing."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

OK, BUSY, MOVED, SILENT = 200, 503, 307, 0


@dataclass
class Notice:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the status, by name; events under ``events``."""
        found: dict[str, Any] = {"events": []}
        for each in json.loads(self.body)["entry"][0]["resource"]["parameter"]:
            if each["name"] == "notification-event":
                found["events"].append({p["name"]: _value(p) for p in each["part"]})
            else:
                found[each["name"]] = _value(each)
        return found

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.parameters["type"])

    def is_signed_with(self, secret: str) -> bool:
        """Whether a receiver accepts it, by what docs/subscriptions.md says."""
        signed = self.headers["wardlight-timestamp"].encode() + b"." + self.body
        made = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"v1={made}", self.headers["wardlight-signature"])


def _value(part: dict[str, Any]) -> Any:
    (value,) = (v for k, v in part.items() if k.startswith("value"))
    return value["reference"] if isinstance(value, dict) and "reference" in value else value


@dataclass
class Receiver:
    """``behaviour``: a status, or SILENT."""

    port: int = 0
    behaviour: int = OK
    notices: list[Notice] = field(default_factory=list)
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/hook?site=1"

    def taken(self, kind: str = "event-notification") -> list[Notice]:
        """Notices of a type that were answered with 200."""
        return [each for each in self.notices if each.status == OK and each.kind == kind]

    def numbers(self) -> list[int]:
        """Numbers of all events that were taken, in the order in which they came."""
        return [
            int(event["event-number"])
            for each in self.taken()
            for event in each.parameters["events"]
        ]

    def focuses(self) -> dict[int, str | None]:
        """What each event was about, as it was told last."""
        return {
            int(event["event-number"]): event.get("focus")
            for each in self.taken()
            for event in each.parameters["events"]
        }

    async def listen(self) -> None:
        self.server = await asyncio.start_server(self._serve, "localhost", self.port or None)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Be away: connections are refused."""
        if self.server is not None:
            self.server.close()
            self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            status = self.behaviour
            self.notices.append(Notice(head[0].split()[1], headers, body, status))
            if status == SILENT:
                await reader.read()
                return
            more = "Location: http://localhost:1/\r\n" if status == MOVED else ""
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{more}\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    receiver = Receiver()
    # One port on both families of this machine: start on one, then keep to its port.
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    server.close()
    await receiver.listen()
    try:
        yield receiver
    finally:
        receiver.stop()
