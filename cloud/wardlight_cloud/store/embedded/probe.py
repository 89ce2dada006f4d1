"""Asks a server on a Unix socket whether it serves, without a client library.

Out     startup message: length u32 | 3.0 u32 | ("user" name, "database" name) NUL-terminated | NUL
In      messages: type u8 | length u32 (counts itself) | body, up to ReadyForQuery or ErrorResponse
Answer  SERVING, STARTING (the socket answers, sessions are refused for now) or ABSENT
Errors  none: whatever goes wrong on the way is ABSENT, since the caller asks again
Source  PostgreSQL 18 documentation, 54.2.1 "Start-up" and 54.7 "Message Formats"; SQLSTATE
        57P03 cannot_connect_now (appendix A)
"""

import socket
import struct
from enum import Enum
from pathlib import Path

_PROTOCOL_3_0 = 196608
_HEADER = struct.Struct(">cI")
_LARGEST_MESSAGE = 65536
_TERMINATE = b"X\0\0\0\x04"
_CANNOT_CONNECT_NOW = b"57P03"


class Answer(Enum):
    """What a server said."""

    SERVING = "serving"
    STARTING = "starting"
    ABSENT = "absent"


def startup_message(user: str, database: str) -> bytes:
    """The first bytes a client sends."""
    pairs = b"".join(text.encode() + b"\0" for text in ("user", user, "database", database))
    body = struct.pack(">I", _PROTOCOL_3_0) + pairs + b"\0"
    return struct.pack(">I", len(body) + 4) + body


def answer_in(data: bytes) -> Answer | None:
    """The answer in what was received so far, or None when more is needed.

    Any error but "cannot connect now" comes from a server that does take sessions: SERVING.
    """
    while len(data) >= _HEADER.size:
        kind, length = _HEADER.unpack_from(data)
        if not 4 <= length <= _LARGEST_MESSAGE:
            return Answer.ABSENT
        body, rest = data[_HEADER.size : 1 + length], data[1 + length :]
        if len(body) < length - 4:
            return None
        if kind == b"Z":
            return Answer.SERVING
        if kind == b"E":
            return Answer.STARTING if _sqlstate(body) == _CANNOT_CONNECT_NOW else Answer.SERVING
        data = rest
    return None


def probe(socket_file: Path, user: str, database: str, timeout_s: float = 2.0) -> Answer:
    """Open one session over `socket_file`, take the answer and leave."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(socket_file))
            connection.sendall(startup_message(user, database))
            answer = _receive_answer(connection)
            connection.sendall(_TERMINATE)
            return answer
    except OSError:
        return Answer.ABSENT


def _receive_answer(connection: socket.socket) -> Answer:
    received = b""
    while (answer := answer_in(received)) is None:
        chunk = connection.recv(8192)
        if not chunk or len(received) > _LARGEST_MESSAGE:
            return Answer.ABSENT
        received += chunk
    return answer


def _sqlstate(error_response: bytes) -> bytes:
    """The field "C" of an ErrorResponse, whose fields are: code u8 | text | NUL."""
    for field in error_response.split(b"\0"):
        if field[:1] == b"C":
            return field[1:]
    return b""
