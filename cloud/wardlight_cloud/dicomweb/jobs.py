"""What the API and the processes that decode images say to each other, over a pipe.

A job is MessagePack after its length (4 octets, big-endian); the answer is a status octet, its
length (8 octets) and octets: what was made, or a sentence that says why it cannot be made.
"""

from enum import IntEnum
from typing import Final, Literal

import msgspec

from wardlight_shared import __version__

READY: Final = b"R"
"""What a process says first: from then on the time of a job counts."""
JOB_HEAD: Final = 4
ANSWER_HEAD: Final = 9
LARGEST_JOB: Final = 64 * 1024

Shape = Literal["linear", "linear-exact", "sigmoid"]
PictureType = Literal["image/jpeg", "image/png", "image/gif"]


MAKER: Final = f"{__version__}/2"
"""What makes: a part of the ETag of what is made, so that clients ask anew when it made it wrong.

The number goes up with each change of what pictures look like or samples are.
"""
INLINE: Final = 1 << 20
"""Octets that are answered over the pipe; more are written to a file."""


class Status(IntEnum):
    """First octet of an answer."""

    MADE = 0
    NO_ROOM = 4  # on the disk; later there may be
    MADE_FILE = 3  # the octets are in a file, whose path is answered
    REFUSED = 1  # of this object: the same again would be refused again
    ABSENT = 2  # the object has no such frame, attribute or item


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A window (PS3.3, C.11.2.1.2) that takes the place of the image's own."""

    center: float
    width: float
    shape: Shape = "linear"


class Viewport(msgspec.Struct, frozen=True, array_like=True):
    """Size of a picture at most, and the region of the image in it; widths below 0 are mirrored.

    ``region``: left, top, width, height in pixels of the image.
    """

    width: int
    height: int
    region: tuple[float, float, float, float] | None = None


class Picture(msgspec.Struct, frozen=True, array_like=True, tag="picture"):
    """A frame (from 1) as a picture; frame 0 = all frames, as an animation."""

    frame: int
    media_type: PictureType
    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90
    frame_ms: int = 100


class RawFrame(msgspec.Struct, frozen=True, array_like=True, tag="frame"):
    """A frame's samples, little-endian, as Explicit VR Little Endian has them."""

    frame: int


class Transcoded(msgspec.Struct, frozen=True, array_like=True, tag="transcoded"):
    """The whole file in Explicit VR Little Endian."""


class BulkValue(msgspec.Struct, frozen=True, array_like=True, tag="bulk"):
    """The value of an attribute, little-endian; tags and item numbers (from 0) from the outside."""

    path: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, array_like=True, tag="report"):
    """The content tree of a structured report as an HTML page."""


class Icon(msgspec.Struct, frozen=True, array_like=True, tag="icon"):
    """A thumbnail for what has no pixels: its modality, in letters."""

    text: str
    size: int
    media_type: PictureType


Making = Picture | RawFrame | Transcoded | BulkValue | Report | Icon


class Job(msgspec.Struct, frozen=True, array_like=True):
    """What to make of a file; ``folder``: for what is too large for the pipe.

    ``state``: the file of a presentation state that a picture is made by; "" = none.
    """

    file: str
    making: Making
    folder: str = ""
    state: str = ""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Job)


def encode_job(job: Job) -> bytes:
    """With its length."""
    octets = _encoder.encode(job)
    return len(octets).to_bytes(JOB_HEAD, "big") + octets


def decode_job(octets: bytes) -> Job:
    """Without its length."""
    return _decoder.decode(octets)


def key_of(making: Making) -> bytes:
    """What tells one picture of a file from another."""
    return _encoder.encode(making)
