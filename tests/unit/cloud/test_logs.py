"""Log lines are for people or machines; both carry the extra fields."""

import json
import logging

from wardlight_cloud.logs import JsonFormatter, TextFormatter


def line_of(formatter: logging.Formatter) -> str:
    made = logging.LogRecord("wardlight_cloud.x", logging.WARNING, "x.py", 1, "away", (), None)
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
