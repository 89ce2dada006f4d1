"""Names of objects and of the parts of those that arrive, the same on a folder and on S3.

Objects  ``sha256/ab/cd/<64 hex digits>``
Parts    ``arriving/<64 hex digits>/<first>-<end>``, both 16 hex digits, so that they sort by place
"""

import re
from collections.abc import Iterable
from typing import Final

OBJECTS: Final = "sha256"
ARRIVING: Final = "arriving"
PIECE_BYTES: Final = 1024 * 1024
"""Objects are read and written in pieces of this size: it bounds the memory of a call."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})")


def object_name(sha256: bytes) -> str:
    """The name of an object."""
    if len(sha256) != 32:
        raise ValueError(f"{len(sha256)} bytes are no SHA-256")
    text = sha256.hex()
    return f"{OBJECTS}/{text[:2]}/{text[2:4]}/{text}"


def hash_of(last: str) -> bytes | None:
    """The hash that the last part of a name is; None for what is not ours."""
    return bytes.fromhex(last) if _HASH.fullmatch(last) else None


def arriving_name(sha256: bytes) -> str:
    """Where the parts of an object are."""
    return f"{ARRIVING}/{sha256.hex()}"


def part_name(first: int, end: int) -> str:
    """The last part of the name of a part."""
    return f"{first:016x}-{end:016x}"


def part_of(last: str) -> tuple[int, int] | None:
    """(first, end) of a part; None for what is none."""
    match = _PART.fullmatch(last)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def joined(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges ascending, joined where they touch or overlap."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(parts):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((first, end))
    return found


def walk(parts: Iterable[tuple[int, int]], size: int) -> list[tuple[tuple[int, int], int]] | None:
    """Parts to read one after the other, each with the octets to skip at its beginning.

    None where they have a gap or go beyond ``size``.
    """
    reached = 0
    steps = []
    for first, end in sorted(parts):
        if first > reached or end > size:
            return None
        if end > reached:
            steps.append(((first, end), reached - first))
            reached = end
    return steps if reached == size else None
