"""Logging of the cloud: text for people, one JSON object a line for machines; to stderr.

Log lines carry ids, lengths, counts and hashes, never measured values or names.
"""

import errno
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from wardlight_cloud.config import LogSettings
from wardlight_cloud.log_repeats import Repeats
from wardlight_shared.errors import WardlightError

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's message for terminals
}


def _extra(record: logging.LogRecord) -> dict[str, str | int | float | bool | None]:
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in vars(record).items()
        if key not in _STANDARD
    }


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Formatter(logging.Formatter):
    def formatException(self, ei: object) -> str:
        """The traceback; an exception is named, and what it says left out."""
        error = ei[1] if isinstance(ei, tuple) else None
        return "\n".join(_told(error, set())) if error is not None else ""


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Where each of a chain of exceptions comes from; the oldest first."""
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _told(before, seen)
        yield "which led to"
    yield from "".join(traceback.format_tb(error.__traceback__)).splitlines()
    yield _name(error)
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from (f"  | {line}" for line in _told(each, seen))


def _name(error: BaseException) -> str:
    """Foreign exceptions quote what they were given, which may be a patient's; ours never do."""
    kind = type(error).__name__
    if isinstance(error, WardlightError):
        return f"{kind}: {error}"
    code = error.errno if isinstance(error, OSError) else None
    return kind if code is None else f"{kind}: {errno.errorcode.get(code, code)}"


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, message and the ``extra`` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()


class TextFormatter(_Formatter):
    """``time level logger: message (key=value ...)``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows on lines of its own."""
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        line = f"{_timestamp(record)} {record.levelname.lower()} {record.name}: "
        line += record.getMessage() + (f" ({extra})" if extra else "")
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(settings: LogSettings) -> None:
    """Install one handler on the root logger; called once by a composition root."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # Third parties write statements, topics and payload sizes at debug level.
    for name in ("asyncio", "asyncpg", "httpx", "paho", "uvicorn.access"):
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
