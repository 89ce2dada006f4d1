"""Logging of the cloud: text for people, one JSON object a line for machines; to stderr.

Log lines carry ids, lengths, counts and hashes, never measured values or names.
"""

import logging
import sys
import threading
from datetime import UTC, datetime

import msgspec

from wardlight_cloud.config import LogSettings
from wardlight_cloud.log_repeats import Repeats
from wardlight_shared.traces import trace_of

_log = logging.getLogger(__name__)
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
        return trace_of(error) if error is not None else ""


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
    threading.excepthook = _thread_ended
    # Third parties write statements, topics and payload sizes at debug level.
    for name in ("asyncio", "asyncpg", "httpx", "paho", "uvicorn.access"):
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    """A thread that nobody waits for: its exception is told as any other is."""
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        extra = {"thread_name": args.thread.name if args.thread is not None else None}
        _log.error("a thread ended unexpectedly", exc_info=args.exc_value, extra=extra)
