"""Logging of the edge: text for people, one JSON object a line for machines; to stderr.

Log lines carry ids, lengths, counts and hashes, never measured values or names.
"""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from wardlight_edge.config import LogSettings

_OF_PROXIES = ("aioesphomeapi", "bleak_esphome", "habluetooth")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _extra(record: logging.LogRecord) -> dict[str, str | int | float | bool | None]:
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in vars(record).items()
        if key not in _STANDARD
    }


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
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


class TextFormatter(logging.Formatter):
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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # Third parties write device addresses and values at debug level.
    for name in ("bleak", "bleak_retry_connector", "dbus_fast", "asyncio", "paho", *_OF_PROXIES):
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
