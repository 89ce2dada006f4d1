"""When a block ends, and where the samples of a notification lie in time."""

from decimal import Decimal
from itertools import pairwise

from support.block_reader import Sample, samples
from wardlight_edge.streams import Block, Folder
from wardlight_edge.streams.axis import MOST_SAMPLES
from wardlight_edge.streams.folder import MOST_AXES
from wardlight_shared.model import Absent, Reading
from wardlight_shared.profile import StreamSection
from wardlight_shared.records import SeriesKey, TimeMethod

DEVICE = "ble:E00000000001"


class Numbers:
    """Series numbers in order of appearance."""

    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []

    def __call__(self, key: SeriesKey) -> int:
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)

    def samples(self, block: Block) -> list[Sample]:
        factors = {place: key.factor for place, key in enumerate(self.keys)}
        return list(samples(block.body, block.mono_ms, factors))


def _folder(**stream: int) -> tuple[Folder, Numbers]:
    numbers = Numbers()
    return Folder(DEVICE, StreamSection(**stream), numbers), numbers


def _spo2(value: str | Absent, flags: int = 0) -> tuple[Reading, ...]:
    number = value if isinstance(value, Absent) else Decimal(value)
    return (Reading("spo2", number, "%", flags=flags),)


def _rr(*counts: int) -> tuple[Reading, ...]:
    return tuple(
        Reading(
            "ppg_rr_interval",
            Decimal(count) * Decimal("0.9765625"),
            "ms",
            Decimal(count),
            "s/1024",
        )
        for count in counts
    )


def test_a_block_ends_with_its_time() -> None:
    folder, _ = _folder(block_s=60)
    done = [block for second in range(121) for block in folder.add(_spo2("97"), second * 1000, 0)]
    assert [block.samples for block in done] == [60, 60]
    assert [block.mono_ms for block in done] == [0, 60_000]
    assert [block.end_mono_ms for block in done] == [59_000, 119_000]
    assert folder.due_ms == 180_000


def test_a_pause_ends_a_block() -> None:
    folder, _ = _folder()
    folder.add(_spo2("97"), 0, 0)
    assert folder.add(_spo2("97"), 5000, 0) == []
    (block,) = folder.add(_spo2("97"), 10_001, 0)
    assert block.samples == 2


def test_shortened_blocks_end_at_once() -> None:
    folder, _ = _folder()
    folder.add(_spo2("97"), 1000, 0)
    folder.shorten(True)
    assert folder.due_ms == 1000
    folder.shorten(False)
    assert folder.due_ms == 61_000


def test_a_faster_stream_fills_its_second() -> None:
    folder, _ = _folder(period_ms=250)
    folder.shorten(True)
    folder.add(_spo2("97"), 1000, 0)
    assert folder.due_ms == 1750


def test_a_regular_stream_needs_no_jitter() -> None:
    folder, _ = _folder()
    for second in range(10):
        folder.add(_spo2("97"), second * 1000 + 3, 0)
    (block,) = folder.flush()
    (group,) = block.body.groups
    assert group.jitter == b""
    assert (group.tick_ms, group.period, group.count) == (10, 100, 10)
    assert block.body.method is TimeMethod.RECEIPT


def test_intervals_end_one_after_the_other_at_the_receipt() -> None:
    """1024 counts are 1 s: three of them ended at -2 s, -1 s and at the receipt."""
    folder, numbers = _folder()
    heart = (Reading("heart_rate", Decimal(60), "/min"), *_rr(1024, 1024, 1024))
    folder.add(heart, 100_000, 0)
    (block,) = folder.flush()
    found = numbers.samples(block)
    assert [(each.at_ms, each.series) for each in found] == [
        (100_000, 0),
        (98_000, 1),
        (99_000, 1),
        (100_000, 1),
    ]
    assert numbers.keys[1].factor == 9_765_625
    assert numbers.keys[1].raw_unit == "s/1024"
    assert [each.value for each in found[1:]] == [Decimal("1000.0000000")] * 3


def test_no_two_samples_of_a_series_share_a_moment() -> None:
    """The radio held three notifications back and gave them at once."""
    folder, numbers = _folder()
    for _ in range(3):
        folder.add((Reading("heart_rate", Decimal(60), "/min"), *_rr(900, 900)), 50_000, 0)
    (block,) = folder.flush()
    for series in (0, 1):
        moments = [each.at_ms for each in numbers.samples(block) if each.series == series]
        assert all(later > earlier for earlier, later in pairwise(moments))


def test_moments_rise_over_the_end_of_a_block() -> None:
    folder, numbers = _folder(block_s=1)
    blocks = folder.add(_rr(1024), 10_000, 0)
    blocks += folder.add(_rr(100, 100, 100), 11_000, 0)
    blocks += folder.flush()
    moments = [each.at_ms for block in blocks for each in numbers.samples(block)]
    assert moments == sorted(set(moments))


def test_precision_is_a_series_of_its_own_axis() -> None:
    """97 and 97.0 are different numbers: one scale a column."""
    folder, numbers = _folder()
    for value in ("97", "97.0", "98"):
        folder.add(_spo2(value), 1000 * len(numbers.keys), 0)
    (block,) = folder.flush()
    assert sorted((group.count, group.columns[0].scale) for group in block.body.groups) == [
        (1, -1),
        (2, 0),
    ]


def test_a_missing_number_stays_in_its_series() -> None:
    folder, numbers = _folder()
    for second, value in enumerate(["97.5", Absent.SENSOR_OFF, "97.6"]):
        folder.add(_spo2(value), second * 1000, 0)
    (block,) = folder.flush()
    assert len(block.body.groups) == 1
    assert [each.value for each in numbers.samples(block)] == [
        Decimal("97.5"),
        Absent.SENSOR_OFF,
        Decimal("97.6"),
    ]


def test_samples_recorded_earlier_lie_before_their_receipt() -> None:
    folder, numbers = _folder()
    folder.add(_spo2("97"), 50_000, 0, age_ms=30_000)
    folder.add(_spo2("98"), 50_001, 0, age_ms=29_001)
    (block,) = folder.flush()
    assert block.mono_ms == 50_000
    assert [each.at_ms for each in numbers.samples(block)] == [20_000, 21_000]


def test_a_jump_of_more_than_63_bits_begins_a_block() -> None:
    folder, numbers = _folder()
    folder.add(_spo2(str(-(1 << 62))), 0, 0)
    (first,) = folder.add(_spo2(str((1 << 63) - 1)), 1000, 0)
    (second,) = folder.flush()
    assert [each.value for block in (first, second) for each in numbers.samples(block)] == [
        Decimal(-(1 << 62)),
        Decimal((1 << 63) - 1),
    ]


def test_the_number_of_axes_and_samples_is_bounded() -> None:
    folder, _ = _folder(period_ms=1, tick_ms=1)
    blocks = [
        block
        for place in range(MOST_AXES + 1)
        for block in folder.add(_spo2(f"9.{'0' * place}1"), place, 0)
    ]
    assert len(blocks) == 1
    folder.flush()
    blocks = [
        block for place in range(MOST_SAMPLES + 1) for block in folder.add(_spo2("97"), place, 0)
    ]
    assert [block.samples for block in blocks] == [MOST_SAMPLES]


def test_each_user_and_site_is_a_series() -> None:
    folder, numbers = _folder()
    for user in (1, 2):
        folder.add((Reading("spo2", Decimal(97), "%", user=user, site="finger"),), user * 1000, 0)
    folder.flush()
    assert [(key.user, key.site) for key in numbers.keys] == [(1, "finger"), (2, "finger")]
