"""A database that is away is said, not shouted; nothing else is left out."""

import logging

from wardlight_cloud.log_repeats import Repeats
from wardlight_cloud.logs import TextFormatter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(message: str = "not read", level: int = logging.WARNING, **more: object) -> (
    logging.LogRecord
):  # fmt: skip
    made = logging.LogRecord("wardlight_cloud.x", level, "x.py", 1, message, (), None)
    vars(made).update(more)
    return made


def test_a_warning_that_repeats_is_said_ever_more_rarely() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    said: list[tuple[float, int]] = []
    for _ in range(1200):
        line = record(error=f"try {clock.now}")
        if repeats.filter(line):
            said.append((clock.now - 1000, getattr(line, "repeated", 0)))
        clock.now += 1
    assert [moment for moment, _ in said] == [0, 5, 15, 35, 75, 155, 315, 615, 915]
    assert sum(1 + left_out for _, left_out in said) == 916, "each one is said or counted"


def test_after_silence_a_warning_is_new() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    assert repeats.filter(record())
    assert not repeats.filter(record())
    clock.now += 70
    assert repeats.filter(record())
    assert not repeats.filter(record())


def test_what_is_about_something_else_is_said() -> None:
    repeats = Repeats(Clock())
    for one in (record(gateway="gw-1"), record(gateway="gw-2"), record(job="rollups")):
        assert repeats.filter(one)
    assert repeats.filter(record("another message"))


def test_only_warnings_are_left_out() -> None:
    repeats = Repeats(Clock())
    for level in (logging.INFO, logging.ERROR):
        assert all(repeats.filter(record(level=level)) for _ in range(3))


def test_the_memory_is_bounded() -> None:
    repeats = Repeats(Clock())
    for number in range(2000):
        repeats.filter(record(gateway=f"gw-{number}"))
    assert len(repeats._said) <= 512


def test_a_lost_connection_leaves_no_traceback() -> None:
    repeats = Repeats(Clock())
    for error, expected in ((ConnectionResetError("x"), False), (KeyError("a bug"), True)):
        line = logging.LogRecord(
            "asyncio", logging.ERROR, "x.py", 1, "Future exception was never retrieved", (),
            (type(error), error, None),
        )  # fmt: skip
        assert repeats.filter(line)
        text = TextFormatter().format(line)
        assert ("\n" in text) == expected
        assert ("ConnectionResetError" in text) != expected
