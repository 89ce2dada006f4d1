"""The upper layer protocol by hand: a sender that may do what no good sender does.

Written from PS3.8, section 9.3 and annex E, beside the product's own reader and writer.
"""

import socket
import struct
from types import TracebackType
from typing import Self

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
STUDY = "1.2.276.0.7230010.3.1.2.1"
SERIES = "1.2.276.0.7230010.3.1.3.1"
NO_DATA_SET = 0x0101
DEADLINE_S = 120.0


def pdu(kind: int, body: bytes) -> bytes:
    """9.3.1: type, reserved, length, body."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def pdv(context_id: int, control: int, octets: bytes) -> bytes:
    """Annex E.2; control: 1 = command, 2 = last."""
    return struct.pack(">IBB", len(octets) + 2, context_id, control) + octets


def data(*values: bytes) -> bytes:
    """A P-DATA-TF."""
    return pdu(4, b"".join(values))


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def context(number: int, abstract: str, *transfer: str) -> bytes:
    """A proposed presentation context."""
    syntaxes = b"".join(_item(0x40, each.encode()) for each in transfer)
    return _item(0x20, struct.pack(">B3x", number) + _item(0x30, abstract.encode()) + syntaxes)


def request(
    *contexts: bytes,
    calling: bytes = b"SENDER",
    called: bytes = b"WARDLIGHT",
    version: int = 1,
    application: bytes = b"1.2.840.10008.3.1.1.1",
    information: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ; ``information``: further items of the user information."""
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4") + information
    titles = called.ljust(16) + calling.ljust(16)
    return pdu(
        1,
        struct.pack(">H2x", version)
        + titles
        + bytes(32)
        + _item(0x10, application)
        + b"".join(contexts)
        + _item(0x50, user),
    )


def command(**elements: int | str) -> bytes:
    """A command set; c class, f field, m message id, b responded, d data set type, i instance."""
    tags = {
        "c": 0x0002,
        "f": 0x0100,
        "m": 0x0110,
        "b": 0x0120,
        "p": 0x0700,
        "d": 0x0800,
        "i": 0x1000,
    }
    body = b""
    for name, value in sorted(elements.items(), key=lambda each: tags[each[0]]):
        octets = struct.pack("<H", value) if isinstance(value, int) else value.encode()
        octets += b"\0" * (len(octets) % 2)
        body += struct.pack("<HHI", 0, tags[name], len(octets)) + octets
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def store(instance: str, message: int = 1, sop_class: str = CT, data_set: int = 1) -> bytes:
    """A C-STORE-RQ command set."""
    return command(c=sop_class, f=1, m=message, p=0, d=data_set, i=instance)


def instance(
    uid: str,
    octets: bytes = b"",
    sop_class: str = CT,
    *,
    study: str | None = STUDY,
    series: str | None = SERIES,
) -> bytes:
    """A data set in Explicit VR Little Endian that says what it is (PS3.5, 7.1.2), then octets.

    These are its pixel data; without any it has none. None = it has no such UID.
    """
    said = b""
    for group, tag, text in (
        (0x0008, 0x16, sop_class),
        (0x0008, 0x18, uid),
        (0x0020, 0x0D, study),
        (0x0020, 0x0E, series),
    ):
        if text is None:
            continue
        value = text.encode() + b"\0" * (len(text) % 2)
        said += struct.pack("<HH2sH", group, tag, b"UI", len(value)) + value
    if octets:
        said += struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, len(octets))
    return said + octets


class Wire:
    """A connection to a DICOM service: PDUs out as they are given, PDUs in."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=DEADLINE_S, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, *octets: bytes) -> None:
        """Send octets; a peer that hung up is met when it is read."""
        try:
            self.socket.sendall(b"".join(octets))
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> tuple[int, bytes]:
        """The next PDU; (0, b"") where the peer hung up."""
        head = self._exactly(6)
        if head is None:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._exactly(length) or b""

    def associate(self, *contexts: bytes, **options: bytes) -> tuple[int, bytes]:
        """Ask for an association; the answer."""
        self.send(request(*(contexts or (context(1, CT, EXPLICIT),)), **options))  # type: ignore[arg-type]
        return self.receive()

    def status(self) -> int:
        """The status of the next response."""
        return int(struct.unpack("<H", self.response()[0x0900])[0])

    def response(self) -> dict[int, bytes]:
        """The elements of the next response."""
        kind, body = self.receive()
        assert kind == 4, (kind, body)
        at, elements = 6, {}
        while at < len(body):
            _, tag, length = struct.unpack_from("<HHI", body, at)
            elements[tag] = body[at + 8 : at + 8 + length]
            at += 8 + length
        return elements

    def is_over(self) -> bool:
        """Whether the peer ends the connection, with or without an A-ABORT."""
        while True:
            kind, _ = self.receive()
            if kind in (0, 7):
                return True

    def _exactly(self, count: int) -> bytes | None:
        octets = b""
        while len(octets) < count:
            try:
                part = self.socket.recv(count - len(octets))
            except ConnectionResetError:
                return None
            if not part:
                return None
            octets += part
        return octets
