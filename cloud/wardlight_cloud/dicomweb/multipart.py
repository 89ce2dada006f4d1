"""Multipart bodies (RFC 2046, 5.1): a reader fed with octets as they come, and parts to write.

    reader = PartReader(boundary_of(content_type))
    for event in reader.feed(octets): ...   # PartHead, bytes of its content, PART_END, ...
    reader.finish()                         # MultipartError when the last boundary did not come

The reader holds at most one header block (16 KiB) or the length of a boundary, however it is fed.
Errors  MultipartError: not multipart; the text says what is wrong
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from enum import Enum
from typing import Final, Literal

# RFC 2046, 5.1.1, allows 70 characters; Orthanc's DICOMweb client sends 73.
_BOUNDARY: Final = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{0,199}[A-Za-z0-9'()+_,./:=?-]")
_LONGEST_HEAD: Final = 16 * 1024
_LONGEST_PREAMBLE: Final = 64 * 1024


class MultipartError(ValueError):
    """A body is not what its Content-Type says."""


class Mark(Enum):
    """What has no content of its own."""

    PART_END = "end of a part"


PART_END: Final = Mark.PART_END


@dataclass(frozen=True, slots=True)
class PartHead:
    """A part begins; names of headers are lower case."""

    headers: Mapping[str, str]


Event = PartHead | bytes | Mark


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart Content-Type."""
    boundary = parameters_of(content_type).get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise MultipartError(
            "Content-Type: the boundary is missing, too long, or has characters RFC 2046 forbids"
        )
    return boundary.encode("ascii")


def parameters_of(content_type: str) -> dict[str, str]:
    """Parameters of a Content-Type, names in lower case, without quotes."""
    message = Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    found = message.get_params(failobj=[], unquote=True)
    return {name.lower(): value for name, value in found[1:] if isinstance(value, str)}


def kind_of(content_type: str) -> str:
    """The media type without parameters, lower case."""
    return content_type.partition(";")[0].strip().lower()


class PartReader:
    """Cuts a body at its boundaries."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # The first boundary may stand at the very beginning: as if a line had ended before it.
        self._buffer = bytearray(b"\r\n")
        self._state = self._preamble
        self._skipped = 0
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """The last boundary has come; what follows is ignored."""
        return self._is_over

    def feed(self, octets: bytes) -> Iterator[Event]:
        """Take some more of the body."""
        if self._is_over:
            return
        self._buffer += octets
        while (event := self._state()) is not None:
            if event is not False:
                yield event
            if self._is_over:
                self._buffer.clear()
                return

    def finish(self) -> None:
        """The body has ended."""
        if not self._is_over:
            raise MultipartError("the body ends before its last boundary")

    # A state returns an event, False = go on with the next state, None = more octets are needed.

    def _preamble(self) -> "Event | Literal[False] | None":
        at = self._buffer.find(self._delimiter)
        if at < 0:
            drop = max(0, len(self._buffer) - len(self._delimiter))
            self._skipped += drop
            if self._skipped > _LONGEST_PREAMBLE:
                raise MultipartError("the body does not begin with its boundary")
            del self._buffer[:drop]
            return None
        del self._buffer[: at + len(self._delimiter)]
        self._state = self._after_boundary
        return False

    def _after_boundary(self) -> "Event | Literal[False] | None":
        if self._buffer[:2] == b"--":
            self._is_over = True
            return False
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise MultipartError("a boundary is followed by text")
            return None
        if self._buffer[:end].strip(b" \t"):
            raise MultipartError("a boundary is followed by text")
        del self._buffer[:end]  # the line end stays: a part may have no headers
        self._state = self._head
        return False

    def _head(self) -> "Event | Literal[False] | None":
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > _LONGEST_HEAD:
            if max(end, len(self._buffer)) > _LONGEST_HEAD:
                raise MultipartError(f"the headers of a part exceed {_LONGEST_HEAD} bytes")
            return None
        head = _headers(bytes(self._buffer[2:end]))
        # Two of the four stay: a boundary may follow at once, for a part without content.
        del self._buffer[: end + 2]
        self._state = self._first_content
        return head

    def _first_content(self) -> "Event | Literal[False] | None":
        if len(self._buffer) < len(self._delimiter):
            return None
        if not self._buffer.startswith(self._delimiter):
            del self._buffer[:2]
        self._state = self._content
        return False

    def _content(self) -> "Event | Literal[False] | None":
        at = self._buffer.find(self._delimiter)
        if at == 0:
            del self._buffer[: len(self._delimiter)]
            self._state = self._after_boundary
            return PART_END
        size = at if at > 0 else len(self._buffer) - len(self._delimiter) + 1
        if size <= 0:
            return None
        octets = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return octets


def _headers(block: bytes) -> PartHead:
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            raise MultipartError("a part has a header line without a name")
        headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return PartHead(headers)


def part_head(boundary: str, content_type: str, size: int, location: str | None = None) -> bytes:
    """What stands before the content of a part."""
    where = "" if location is None else f"Content-Location: {location}\r\n"
    return (
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n{where}\r\n"
    ).encode("latin-1")


def body_end(boundary: str) -> bytes:
    """What stands after the last part."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")


def related(kind: str, boundary: str) -> str:
    """The Content-Type of a body of parts of this kind (RFC 2387)."""
    return f'multipart/related; type="{kind}"; boundary={boundary}'
