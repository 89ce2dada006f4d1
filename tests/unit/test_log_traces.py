"""What a log tells of an exception is where it comes from, never what it quotes."""

import errno
import logging
import threading

import pytest

from wardlight_cloud import logs as cloud_logs
from wardlight_edge import logs as edge_logs
from wardlight_shared.errors import StorageError
from wardlight_shared.traces import trace_of

VALUE = "Anna Alm is 42"
FORMATTERS = (
    edge_logs.TextFormatter(), edge_logs.JsonFormatter(),
    cloud_logs.TextFormatter(), cloud_logs.JsonFormatter(),
)  # fmt: skip


def line_of(formatter: logging.Formatter, error: Exception) -> str:
    info = (type(error), error, None)
    made = logging.LogRecord("wardlight.x", logging.WARNING, "x.py", 1, "away", (), info)
    return formatter.format(made)


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_an_exception_follows_without_what_it_says(formatter: logging.Formatter) -> None:
    """Foreign exceptions quote values; ours are written to hold none."""
    line = line_of(formatter, raised())
    for told in ("read_row", "OverflowError", "StorageError: reads: no connection", "ENOSPC"):
        assert told in line
    assert "Anna" not in line


def read_row() -> None:
    raise OverflowError(VALUE)


def raised() -> Exception:
    """A group of a chain of ours over a foreign one, and of one of the system's."""
    try:
        try:
            read_row()
        except OverflowError as error:
            raise StorageError("reads: no connection") from error
    except StorageError as error:
        return ExceptionGroup(VALUE, [error, OSError(errno.ENOSPC, VALUE)])
    raise AssertionError


def test_exceptions_that_point_at_each_other_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert "KeyError\nwhich led to\nValueError" in trace_of(first)


@pytest.mark.parametrize("logs", [edge_logs, cloud_logs])
def test_a_thread_that_fails_is_logged_so(logs: object, caplog: pytest.LogCaptureFixture) -> None:
    hook = logs._thread_ended  # type: ignore[attr-defined]
    error = OverflowError(VALUE)
    hook(threading.ExceptHookArgs((OverflowError, error, None, threading.current_thread())))
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "a thread ended" in record.getMessage()
    hook(threading.ExceptHookArgs((SystemExit, SystemExit(), None, None)))
    assert len(caplog.records) == 1
