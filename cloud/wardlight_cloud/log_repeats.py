"""Keeps a log readable while something is away: what repeats is said ever more rarely.

A warning is written at once, then again after 5 s, 10 s, ... at most every 5 minutes, with the
number of those left out (``repeated``). After a minute of silence the next one is new again. A
warning is the same when logger, message and the things it is about are the same; the error it
carries may vary. And a lost connection is no traceback: the driver's callbacks leave them behind.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0
_SILENCE_S: Final = 60.0
_MOST: Final = 512  # different warnings remembered
_ABOUT: Final = ("gateway", "epoch", "device", "job", "kind", "child", "shard")
_DRIVER: Final = "asyncpg"

Key = tuple[object, ...]


@dataclass(slots=True)
class _Said:
    next_s: float
    pause_s: float
    last_s: float
    left_out: int = 0


class Repeats(logging.Filter):
    """A filter of a handler; see the module."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[Key, _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; marks it with ``repeated``."""
        _shorten(record)
        if record.levelno != logging.WARNING:
            return True
        now_s = self._clock()
        key = (record.name, record.msg, *(getattr(record, name, None) for name in _ABOUT))
        said = self._said.get(key)
        if said is None or now_s - said.last_s > _SILENCE_S + said.pause_s:
            self._remember(key, _Said(now_s + _FIRST_PAUSE_S, _FIRST_PAUSE_S, now_s))
            return True
        said.last_s = now_s
        if now_s < said.next_s:
            said.left_out += 1
            return False
        if said.left_out:
            record.repeated = said.left_out
        said.pause_s = min(2 * said.pause_s, _LONGEST_PAUSE_S)
        said.next_s, said.left_out = now_s + said.pause_s, 0
        return True

    def _remember(self, key: Key, said: _Said) -> None:
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[key] = said


def _shorten(record: logging.LogRecord) -> None:
    """One line for a connection that was lost in a callback of the event loop."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name != "asyncio" or error is None:
        return
    is_lost = isinstance(error, OSError) or type(error).__module__.startswith(_DRIVER)
    if is_lost:
        record.exc_info, record.exc_text = None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "a connection was lost", ()
        record.error = type(error).__name__
