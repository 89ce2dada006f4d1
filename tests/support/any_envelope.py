"""Envelopes of any gateway: mostly sound, every number now and then at its limits or past them.

Written as arrays position by position (docs/wire-format.md), not by our encoder, so that they can
hold what that one never writes. For hypothesis.
"""

from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from support.envelopes import GATEWAY, NOW_MS
from wardlight_shared.codes import BY_WIRE

INT64 = (1 << 63) - 1
WIRES = sorted(BY_WIRE)
_RARELY = 24
_T = TypeVar("_T")


@st.composite
def mostly(draw: st.DrawFn, sound: st.SearchStrategy[_T], strange: st.SearchStrategy[_T]) -> _T:
    """A sound value, or one time in many a strange one."""
    return draw(strange if draw(st.integers(1, _RARELY)) == _RARELY else sound)


def ends(low: int, high: int) -> st.SearchStrategy[int]:
    """The ends of an interval, and what lies just past them."""
    return st.sampled_from([low - 1, low, low + 1, high - 1, high, high + 1])


# Characters that neither JSON nor HTML nor a path likes, and texts that say nothing.
_ODD = st.sampled_from(["", " ", "\0", "\x01\x1f\x7f", "<b>&\"'", "\u202e\uffff", "x" * 256])
TEXT = mostly(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9), _ODD
)
INT = mostly(st.integers(-(10**6), 10**6), ends(-INT64, INT64))
SCALE = mostly(st.integers(-9, 4), ends(-128, 127))
OFFSET = mostly(st.sampled_from([0, 60, -210, 840, -840]), st.sampled_from([841, -841, 960, -961]))
METHOD = mostly(st.integers(0, 3), ends(0, 3))
ABSENT = mostly(st.integers(0, 12), st.sampled_from([-1, 13, 200, 255, 256]))
FLAGS = mostly(st.integers(0, 61).map(lambda bit: 1 << bit), ends(0, (1 << 62) - 1))
ERROR = st.none() | mostly(st.integers(0, 10**6), ends(0, (1 << 53) - 1))


@st.composite
def keys(draw: st.DrawFn, device: str) -> list[Any]:
    """A SeriesKey, most often of a metric of the table in one of its units."""
    wire = draw(mostly(st.sampled_from(WIRES), ends(0, (1 << 31) - 1)))
    metric = BY_WIRE.get(wire)
    units = [None] if metric is None else [None, metric.unit, *metric.units_also]
    return [
        draw(mostly(st.just(device), TEXT)),
        wire,
        draw(mostly(st.sampled_from(units), TEXT)),
        draw(st.none() | mostly(st.integers(0, 254), ends(0, 254))),
        draw(st.none() | TEXT),
        draw(st.none() | TEXT),
        draw(mostly(st.just(1), ends(1, (1 << 40) - 1))),
    ]


@st.composite
def events(draw: st.DrawFn, series: int) -> list[Any]:
    """An event of one or two readings."""
    numbers = draw(st.lists(st.integers(0, series - 1), min_size=1, max_size=2))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=len(numbers), max_size=len(numbers)))

    names = st.sampled_from(["status", "meal"]) | TEXT
    said = st.sampled_from(["corrected", "deleted", "fasting"]) | TEXT
    return [
        1,
        draw(mostly(st.integers(0, 10**9), INT)),
        draw(METHOD),
        draw(ERROR),
        draw(mostly(st.integers(0, 10**6), ends(0, (1 << 31) - 1))),
        draw(st.none() | mostly(st.integers(8 * 10**8, 8 * 10**8 + 999), INT) | TEXT),
        draw(st.none() | INT),
        numbers,
        column(INT),
        column(SCALE),
        (draw(st.booleans()) and column(ABSENT)) or None,
        (draw(st.booleans()) and column(FLAGS)) or None,
        (draw(st.booleans()) and column(st.none() | st.tuples(INT, SCALE))) or None,
        draw(st.none() | st.lists(st.tuples(names, said), max_size=2)),
        draw(st.none() | OFFSET),
    ]


@st.composite
def blocks(draw: st.DrawFn, series: int) -> list[Any]:
    """A block of one column of three samples."""
    sample = mostly(st.integers(0, 2), ends(0, 2))
    reason = mostly(st.integers(1, 12), ABSENT)
    absents = st.lists(st.tuples(sample, reason), max_size=2, unique_by=lambda pair: pair[0])
    runs = st.lists(st.tuples(sample, st.integers(0, 1), FLAGS), max_size=2)
    deltas = mostly(st.just(bytes(16)), st.binary(min_size=16, max_size=16))
    column = [
        draw(st.integers(0, series - 1)), draw(SCALE), draw(INT), 8, draw(deltas),
        draw(st.none() | absents), draw(st.none() | runs),
    ]  # fmt: skip
    start, tick = draw(mostly(st.just(0), INT)), draw(mostly(st.just(1000), ends(1, 60_000)))
    group = [start, tick, draw(mostly(st.just(1), ends(0, 1000))), 3, 1, b"", [column]]
    return [2, draw(METHOD), draw(ERROR), [group]]


@st.composite
def others(draw: st.DrawFn, series: int, device: str) -> list[Any]:
    """A waveform, a status or a gap."""
    whose = st.none() | mostly(st.just(device), TEXT)
    names = ["info", "battery", "link", "clock", "calibration", "identity", "health", "quarantine"]
    fields = [
        "manufacturer", "model", "serial_number", "system_id", "udi", "percent", "state", "due",
        "firmware_revision",
    ]  # fmt: skip
    told = st.none() | st.booleans() | INT | TEXT
    data = st.dictionaries(st.sampled_from(fields) | TEXT, told, max_size=3)
    count = mostly(st.integers(1, 99), ends(1, INT64))
    ranges = st.lists(st.tuples(count, count).map(sorted), max_size=2)
    rate = mostly(st.just(250_000), ends(1, (1 << 40) - 1))
    samples = mostly(st.just(bytes(6)), st.binary(max_size=3))
    waveform = st.tuples(st.just(3), st.integers(0, series - 1), rate, SCALE, INT, samples, ERROR)
    status = st.tuples(st.just(4), whose, st.sampled_from(names) | TEXT, data)
    lost = mostly(st.integers(0, 99), ends(0, (1 << 31) - 1))
    age = mostly(st.integers(0, 99), ends(0, (1 << 53) - 1))
    cause = mostly(st.just("corrupt"), TEXT)
    gap = st.tuples(st.just(6), cause, whose, lost, age, st.none() | ranges)
    return list(draw(waveform | status | gap))


@st.composite
def messages(draw: st.DrawFn, *, device: str, epoch: int, gateway: str = GATEWAY) -> bytes:
    """One envelope of a few records."""
    series = draw(st.lists(keys(device), min_size=1, max_size=3))
    body = events(len(series)) | blocks(len(series)) | others(len(series), device)
    bodies = draw(st.lists(body, min_size=1, max_size=6))
    count = len(bodies)
    # Of those that a header may hold half are unknown: their records, and no others, are refused.
    quality = mostly(st.integers(0, 7) | st.just(15), st.sampled_from([-1, 16]))
    clocks = draw(st.lists(st.tuples(quality, ERROR), min_size=1, max_size=2))
    last = st.sampled_from([INT64 - count, INT64 - count + 1, INT64])
    first = draw(mostly(st.just(1), last))
    past = ends(0, 253_402_300_799_999) | st.just(NOW_MS + 10**9)
    time = draw(mostly(st.just(NOW_MS - 10**8), past))
    places = st.lists(st.integers(0, len(clocks) - 1), min_size=count, max_size=count)
    return msgspec.msgpack.encode(
        [
            1, gateway, epoch, 1, NOW_MS, draw(OFFSET), clocks,
            list(enumerate(series)), [first] + [1] * (count - 1), [time] + [1] * (count - 1),
            draw(st.none() | places), None, bodies,
        ]
    )  # fmt: skip
