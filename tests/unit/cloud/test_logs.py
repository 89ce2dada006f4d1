"""Log lines are for people or machines; both carry the extra fields."""

import errno
import json
import logging

import pytest

from wardlight_cloud.logs import JsonFormatter, TextFormatter
from wardlight_shared.errors import StorageError

VALUE = "Anna Alm is 42"


def line_of(formatter: logging.Formatter, error: Exception | None = None) -> str:
    info = None if error is None else (type(error), error, None)
    made = logging.LogRecord("wardlight_cloud.x", logging.WARNING, "x.py", 1, "away", (), info)
    made.gateway, made.count = "gw-1", 3
    return formatter.format(made)


def test_text() -> None:
    assert line_of(TextFormatter()).endswith(
        " warning wardlight_cloud.x: away (gateway=gw-1 count=3)"
    )


def test_json_is_one_object_a_line() -> None:
    line = line_of(JsonFormatter())
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["time"].endswith("+00:00")
    del fields["time"]
    assert fields == {
        "level": "warning", "logger": "wardlight_cloud.x", "message": "away", "gateway": "gw-1",
        "count": 3,
    }  # fmt: skip


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
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
    assert "KeyError\nwhich led to\nValueError" in line_of(TextFormatter(), first)
