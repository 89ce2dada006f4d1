"""A small file beside the outbox that outlives it: which epoch it held, and whether it was in use.

It tells a new gateway from one whose outbox was deleted, and a log (``-wal``) that SQLite took away
when it closed from one that somebody else took away. And it is one more place for the epoch,
without which no row can be opened.

It only ever adds knowledge: an outbox whose trace cannot be written works without (a full disk).
"""

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.outbox.durable import make_private

SUFFIX: Final = ".trace"
_FORM: Final = "wardlight outbox epoch {epoch:019d} {state}\n"  # one length, written in place
_BEFORE: Final = "after {epoch:019d}\n"
_WRITTEN: Final = re.compile(r"wardlight outbox epoch (\d{19}) (used|shut)\n((?:after \d{19}\n)*)")
_MOST_BEFORE: Final = 16

_log = logging.getLogger(__name__)


class Trace(msgspec.Struct, frozen=True):
    """What is known of an outbox file.

    is_used  it was opened and not closed
    before   epochs of files that it has followed, newest first, since one was empty: it may hold
             their rows, and what is told of their losses
    """

    epoch: int
    is_used: bool
    before: tuple[int, ...] = ()

    @property
    def lineage(self) -> tuple[int, ...]:
        """The epochs that a file which follows this one comes after."""
        return (self.epoch, *self.before)[:_MOST_BEFORE]


def read(path: Path) -> Trace | None:
    """The trace of the outbox at ``path``; None = there is none that can be read."""
    try:
        text = _trace_of(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    before = tuple(int(number) for number in re.findall(r"\d+", match[3]))
    return Trace(int(match[1]), match[2] == "used", before)


def write(path: Path, trace: Trace) -> None:
    """Write durably."""
    text = _FORM.format(epoch=trace.epoch, state="used" if trace.is_used else "shut")
    text += "".join(_BEFORE.format(epoch=epoch) for epoch in trace.before)
    target = _trace_of(path)
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


def _trace_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
