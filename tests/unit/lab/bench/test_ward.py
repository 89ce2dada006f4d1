"""The ward that fills outboxes: real bodies, every reading a key of its own."""

from collections import Counter
from itertools import pairwise

from wardlight_lab.bench.ward import LONGEST_MINUTE_MS, Oximeter, Ward
from wardlight_shared.records import BlockBody, EventBody, SeriesKey, decode_body


class _Numbering:
    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []

    def __call__(self, key: SeriesKey) -> int:
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)


def _keys(body: bytes, mono_ms: int) -> list[tuple[int, int, int]]:
    """(series, time, ord) of each reading, worked out from docs/wire-format.md."""
    decoded = decode_body(body)
    if isinstance(decoded, EventBody):
        return [(series, mono_ms - decoded.age_ms, decoded.ord) for series in decoded.series]
    assert isinstance(decoded, BlockBody)
    found = []
    for group in decoded.groups:
        ticks, at = [0], 0
        for jitter in group.jitter or bytes(group.count - 1):
            at += group.period + (jitter - 256 if jitter > 127 else jitter)
            ticks.append(at)
        assert len(ticks) == group.count
        for column in group.columns:
            times = (mono_ms + group.start_ms + group.tick_ms * tick for tick in ticks)
            found += [(column.series, time, 0) for time in times]
    return found


def test_counts_are_true_and_no_two_readings_share_a_key() -> None:
    number = _Numbering()
    ward = Ward(number, 2, 3, cuff_every_min=5, minutes=4, label="0001")
    keys: Counter[tuple[int, int, int]] = Counter()
    readings = 0
    for minute in range(12):  # three times around the four different minutes
        for record, count in ward.minute(minute, 1_000_000, 1_770_000_000_000):
            readings += count
            keys.update(_keys(record.body, record.mono_ms))
    assert readings == keys.total()
    assert len(keys) == readings
    assert len({key.device for key in number.keys}) == 5


def test_a_stream_brings_two_values_a_second() -> None:
    blocks = [Oximeter("ble:00010C000001", lambda _: 1, 4).block(n, 0, 0) for n in range(3)]
    assert all(110 <= readings <= 124 for _, readings in blocks)
    starts = [record.mono_ms for record, _ in blocks]
    steps = [after - before for before, after in pairwise(starts)]
    assert all(59_000 < step <= LONGEST_MINUTE_MS for step in steps)


def test_the_same_ward_records_the_same() -> None:
    one, two = (Ward(lambda _: 1, 1, 1, minutes=2).minute(0, 0, 10**12) for _ in range(2))
    assert one == two


def test_different_wards_differ() -> None:
    one, two = (
        Ward(lambda _: 1, 1, 0, minutes=2, label=label).minute(0, 0, 10**12)
        for label in ("0001", "0002")
    )
    assert one[0].record.body != two[0].record.body
