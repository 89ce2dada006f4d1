"""Frames of the native API as an ESPHome device sends and takes them, plain and encrypted.

In/Out  (message type, protobuf octets)
Errors  WireError: the peer does not speak this; what it was told is sent first
Source  ESPHome native API protocol details (developers.esphome.io); components/api,
        api_frame_helper_plaintext.cpp and api_frame_helper_noise.cpp
"""

from asyncio import StreamReader, StreamWriter
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from noise.connection import NoiseConnection

PLAIN, NOISE = 0x00, 0x01
_PROTOCOL: Final = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"
_PROLOGUE: Final = b"NoiseAPIInit\x00\x00"


class WireError(Exception):
    """The peer cannot be talked to."""


class Wire(Protocol):
    """One connection of a client."""

    async def open(self) -> None:
        """Say hello. Errors: WireError."""

    async def receive(self) -> tuple[int, bytes]:
        """One message. Errors: WireError, EOFError."""

    def send(self, kind: int, octets: bytes) -> None:
        """Send one message."""


class PlainWire:
    """0x00, length and type as varints, octets."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def open(self) -> None:
        """Nothing to say."""

    async def receive(self) -> tuple[int, bytes]:
        """One message."""
        marker = (await self._reader.readexactly(1))[0]
        if marker != PLAIN:
            self._writer.write(b"\x00Bad indicator byte")
            raise WireError(f"indicator byte {marker:#04x}")
        length, kind = await self._varint(), await self._varint()
        return kind, await self._reader.readexactly(length)

    def send(self, kind: int, octets: bytes) -> None:
        """Send one message."""
        self._writer.write(bytes([PLAIN]) + _varint(len(octets)) + _varint(kind) + octets)

    async def _varint(self) -> int:
        value = shift = 0
        while True:
            octet = (await self._reader.readexactly(1))[0]
            value |= (octet & 0x7F) << shift
            if octet < 0x80:
                return value
            shift += 7


class NoiseWire:
    """0x01, length in two octets, a Noise message; NNpsk0 with the key of the configuration."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, key: bytes, name: str) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name
        self._noise: Any = NoiseConnection.from_name(_PROTOCOL)
        self._noise.set_as_responder()
        self._noise.set_psks(key)
        self._noise.set_prologue(_PROLOGUE)
        self._noise.start_handshake()

    async def open(self) -> None:
        """The handshake."""
        await self._frame()  # the client's hello is empty
        self._write(b"\x01" + self._name.encode() + b"\x00")
        try:
            self._noise.read_message((await self._frame())[1:])
        except InvalidTag as error:
            self._write(b"\x01Handshake MAC failure")
            raise WireError("another key") from error
        self._write(b"\x00" + bytes(self._noise.write_message()))

    async def receive(self) -> tuple[int, bytes]:
        """One message."""
        message = bytes(self._noise.decrypt(await self._frame()))
        return int.from_bytes(message[:2], "big"), message[4:]

    def send(self, kind: int, octets: bytes) -> None:
        """Send one message."""
        header = kind.to_bytes(2, "big") + len(octets).to_bytes(2, "big")
        self._write(bytes(self._noise.encrypt(header + octets)))

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(3)
        if head[0] != NOISE:
            raise WireError(f"indicator byte {head[0]:#04x}")
        return await self._reader.readexactly(int.from_bytes(head[1:], "big"))

    def _write(self, frame: bytes) -> None:
        self._writer.write(bytes([NOISE]) + len(frame).to_bytes(2, "big") + frame)


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])
