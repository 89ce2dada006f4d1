"""A file of a Viatom ring on its way, block by block: which answer belongs to which request.

1. A ring that numbers its answers is known by the first one after block 0. Of such a ring an answer
   with another number than the block that is due is late: a request was made twice.
2. Others answer every block as block 0. They are never asked twice for one: nobody could say which
   answer is which.
3. A second answer for block 0 is known by its octets in both: no block is like the first, which
   holds the head of the file.

Source  ilyakruchinin/SomnoTrace, its page on the protocol: the block is echoed; MackeyStingray/o2r,
        o2state.py, goes by order alone
"""

from enum import Enum, auto
from typing import Final

import msgspec

from wardlight_edge.devices._viatom_frames import Reply

_SIZE_OCTETS: Final = 4


class Fit(Enum):
    """What an answer is for a file."""

    LATE = auto()
    """The answer to a request that was answered before."""

    ANEW = auto()
    """Blocks have another length than before: the file begins again."""

    TAKEN = auto()
    """The block that was due."""


class FileOnItsWay(msgspec.Struct):
    """What came of a file so far; ``step`` is the length of its blocks."""

    name: str
    size: int = 0
    step: int = 0
    octets: bytes = b""

    @property
    def block(self) -> int:
        """The block that is due."""
        return len(self.octets) // self.step if self.step else 0

    @property
    def is_whole(self) -> bool:
        """Nothing is due."""
        return len(self.octets) >= self.size


class Numbering:
    """Whether a ring numbers its answers; None until it has shown it."""

    def __init__(self) -> None:
        self.is_there: bool | None = None

    def fit(self, file: FileOnItsWay, reply: Reply) -> Fit:
        """Take the answer into the file where it belongs there."""
        due, left = file.block, file.size - len(file.octets)
        if self._is_late(file, reply, due) or _answers_open(file, reply, left):
            return Fit.LATE
        if file.step and len(reply.data) != file.step and len(reply.data) < left:
            return Fit.ANEW
        if due:
            self.is_there = reply.block == due
        file.step = file.step or len(reply.data)
        file.octets += reply.data[:left]
        return Fit.TAKEN

    def _is_late(self, file: FileOnItsWay, reply: Reply, due: int) -> bool:
        if reply.block == due:
            return False
        if reply.block or self.is_there:
            return True
        return reply.data == file.octets[: file.step]


def _answers_open(file: FileOnItsWay, reply: Reply, left: int) -> bool:
    """The size of the file once more, after OPEN was asked twice."""
    return left != _SIZE_OCTETS and reply.data == file.size.to_bytes(_SIZE_OCTETS, "little")
