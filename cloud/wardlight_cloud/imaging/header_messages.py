"""What the pool and its processes say to each other: a length of four octets, then MessagePack.

Apart from both: who asks for headers does not load what reads them.
"""

from typing import Final

import msgspec

from wardlight_cloud.store.image_arrivals import InstanceHeader

LARGEST_MESSAGE: Final = 512 * 1024 * 1024
READY: Final = b"headers\n"
"""What a process says first, when it has loaded all that it needs."""
NOT_THE_FILES_FAULT: Final = frozenset(("file", "program"))
"""Reasons of answers after which the same file may be read well."""


class Request(msgspec.Struct, frozen=True):
    """A file to be read; ``path`` in octets, as names on old discs are no text."""

    path: bytes
    inflated_bytes: int


class Answer(msgspec.Struct, frozen=True):
    """Its header, or why it has none."""

    header: InstanceHeader | None = None
    reason: str = ""
    message: str = ""
