"""A small file beside the outbox that outlives it: which epoch it held, and whether it was in use.

It tells a new gateway from one whose outbox was deleted, a log (``-wal``) that SQLite took away
when it closed from one that somebody else took away, and a file with all that was accepted from an
older state of it. And it is one more place for the epoch, without which no row can be opened.

It only ever adds knowledge: an outbox whose trace cannot be written works without (a full disk).
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.durable import make_private

SUFFIX: Final = ".trace"
_FORM: Final = "wardlight outbox epoch {epoch:019d} {state}\n"  # one length, written in place
_NEWEST: Final = b"newest %019d log %019d\n"  # the same
_NEWEST_AT: Final = len(_FORM.format(epoch=0, state="used"))
_BEFORE: Final = "after {epoch:019d}\n"
_WRITTEN: Final = re.compile(
    r"wardlight outbox epoch (\d{19}) (used|shut)\n"
    r"(?:newest (\d{19}) log (\d{19})\n)?((?:after \d{19}\n)*)"
)
_MOST_BEFORE: Final = 256

_log = logging.getLogger(__name__)


class Trace(msgspec.Struct, frozen=True):
    """What is known of an outbox file.

    is_used    it was opened and not closed
    before     epochs of files that it has followed, newest first, since one was empty: it may hold
               their rows, and what is told of their losses
    newest     the newest seq that it has given, or one a little older
    log_bytes  least size of its log, as it was in a quiet moment
    """

    epoch: int
    is_used: bool
    before: tuple[int, ...] = ()
    newest: int = 0
    log_bytes: int = 0

    @property
    def lineage(self) -> tuple[int, ...]:
        """The epochs that a file which follows this one comes after."""
        return (self.epoch, *self.before)


class Witness:
    """Notes in the trace of the open file at ``path`` what was committed, without a flush.

    A process that is killed leaves it exact; a power cut may leave an older one. It is never ahead
    of what is on the disk.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open(place(path), os.O_WRONLY | os.O_CLOEXEC)

    def note(self, newest: int, log_bytes: int) -> None:
        """After COMMIT, with synchronous=FULL."""
        if self._descriptor is not None:
            line = _NEWEST % (newest, log_bytes)
            with contextlib.suppress(OSError):  # what was written last stays true
                os.pwrite(self._descriptor, line, _NEWEST_AT)

    def close(self) -> None:
        """Close the trace."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def one_after_another(*lineages: Iterable[int]) -> tuple[int, ...]:
    """Lineages joined, every epoch once and none that is unknown; the oldest fall off the end."""
    found = dict.fromkeys(epoch for lineage in lineages for epoch in lineage if 0 < epoch < 1 << 63)
    return tuple(found)[:_MOST_BEFORE]


def read(path: Path) -> Trace | None:
    """The trace of the outbox at ``path``; None = there is none that can be read."""
    try:
        text = place(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    before = tuple(int(number) for number in re.findall(r"\d+", match[5]))
    newest, log_bytes = int(match[3] or 0), int(match[4] or 0)
    return Trace(int(match[1]), match[2] == "used", before, newest, log_bytes)


def write(path: Path, trace: Trace) -> None:
    """Write durably."""
    text = _FORM.format(epoch=trace.epoch, state="used" if trace.is_used else "shut")
    text += (_NEWEST % (trace.newest, trace.log_bytes)).decode("ascii")
    text += "".join(_BEFORE.format(epoch=epoch) for epoch in trace.before)
    target = place(path)
    try:
        if not target.exists():
            make_private(target)
        descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        with contextlib.closing(os.fdopen(descriptor, "wb", buffering=0)) as file:
            file.write(text.encode("ascii"))
            file.truncate()
            os.fsync(descriptor)
    except OSError as error:
        _log.warning("the trace of the outbox was not written", extra={"error": str(error)})


def place(path: Path) -> Path:
    """The trace of the outbox at ``path``."""
    return path.with_name(path.name + SUFFIX)
