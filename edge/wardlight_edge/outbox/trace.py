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
_WRITTEN: Final = re.compile(r"wardlight outbox epoch (\d{19}) (used|shut)\n")

_log = logging.getLogger(__name__)


class Trace(msgspec.Struct, frozen=True):
    """``is_used``: the file was opened and not closed."""

    epoch: int
    is_used: bool


def read(path: Path) -> Trace | None:
    """The trace of the outbox at ``path``; None = there is none that can be read."""
    try:
        text = _trace_of(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    match = _WRITTEN.fullmatch(text)
    return None if match is None else Trace(int(match[1]), match[2] == "used")


def write(path: Path, trace: Trace) -> None:
    """Write durably."""
    text = _FORM.format(epoch=trace.epoch, state="used" if trace.is_used else "shut")
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
