"""Server-sent events out of a chunked HTTP/1.1 body, with as little work as can be.

Source  RFC 9112, 7.1 (chunked coding); HTML standard, 9.2.6 (event streams)
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from wardlight_lab.bench.setting import Unsound

_DATA: Final = b"data: "
_END_OF_HEAD: Final = b"\r\n\r\n"


async def events(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Each chunk of the answer's body: an event, for our server sends one a chunk.

    Errors  Unsound: another status than 200, or the end of the stream
    """
    head = await reader.readuntil(_END_OF_HEAD)
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise Unsound("the live feed was refused")
    while True:
        size = int(await reader.readline(), 16)
        if not size:
            raise Unsound("the live feed has ended")
        yield await reader.readexactly(size)
        await reader.readexactly(2)


def rows(event: bytes) -> list[dict[str, Any]]:
    """The JSON list in an event's data; [] for a sign of life."""
    for line in event.split(b"\n"):
        if line.startswith(_DATA):
            found = json.loads(line[len(_DATA) :])
            return found if isinstance(found, list) else []
    return []
