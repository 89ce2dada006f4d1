"""What goes into a stream comes out of its blocks: every number, in order, at its moment."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from support.block_reader import Sample, samples
from wardlight_edge.streams import Block, Folder
from wardlight_edge.streams.columns import column, differences, packed
from wardlight_shared.model import Absent, Reading
from wardlight_shared.profile import StreamSection
from wardlight_shared.records import BlockBody, SeriesKey, decode_body, encode_body

absents = st.sampled_from(Absent)
flags = st.sampled_from([0, 0, 0, 1 << 3, 1 << 18, (1 << 31) | 1])
values = st.one_of(
    st.integers(60, 100).map(Decimal),
    st.decimals(-10, 45, places=1, allow_nan=False, allow_infinity=False),
    absents,
)
intervals = st.one_of(st.integers(1, 65535), st.just(0))


def _rr(count: int, bits: int) -> Reading:
    if count == 0:
        return Reading(
            "ppg_rr_interval", Absent.NOT_MEASURED, "ms", Decimal(0), "s/1024", flags=bits
        )
    milliseconds = Decimal(count) * Decimal("0.9765625")
    return Reading("ppg_rr_interval", milliseconds, "ms", Decimal(count), "s/1024", flags=bits)


@st.composite
def notifications(draw: st.DrawFn) -> tuple[Reading, ...]:
    bits = draw(flags)
    if draw(st.booleans()):
        rate = Reading("heart_rate", draw(values), "/min", flags=bits)
        return (rate, *[_rr(each, bits) for each in draw(st.lists(intervals, max_size=4))])
    oximetry = [
        Reading("spo2", draw(values), "%", flags=bits),
        Reading("pulse_rate_oximeter", draw(values), "/min", flags=draw(flags)),
    ]
    if draw(st.booleans()):
        oximetry.append(Reading("perfusion_index", draw(values), "%", flags=bits))
    return tuple(oximetry)


class Numbering:
    """Series numbers as an outbox gives them."""

    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []

    def __call__(self, key: SeriesKey) -> int:
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)

    def read(self, blocks: list[Block]) -> list[Sample]:
        factors = {number: key.factor for number, key in enumerate(self.keys)}
        found: list[Sample] = []
        for block in blocks:
            body = decode_body(encode_body(block.body))
            assert isinstance(body, BlockBody)
            found += samples(body, block.mono_ms, factors)
        return found


steps = st.one_of(
    st.integers(900, 1100), st.integers(0, 30), st.integers(4000, 9000), st.just(1000)
)
streams = st.lists(st.tuples(steps, notifications()), min_size=1, max_size=40)


@given(streams, st.sampled_from([1, 5, 60]), st.sampled_from([1, 10, 100]), st.booleans())
def test_every_number_comes_back_exactly(
    stream: list[tuple[int, tuple[Reading, ...]]], block_s: int, tick_ms: int, is_short: bool
) -> None:
    number = Numbering()
    section = StreamSection(block_s=block_s, period_ms=1000, tick_ms=tick_ms)
    folder = Folder("ble:AABBCCDDEEFF", section, number)
    folder.shorten(is_short)
    blocks: list[Block] = []
    expected: dict[str, list[tuple[Decimal | Absent, int]]] = {}
    now = 1_000_000
    for step, readings in stream:
        now += step
        blocks += folder.add(readings, now, now)
        for reading in readings:
            expected.setdefault(reading.metric, []).append((reading.value, reading.flags))
    blocks += folder.flush()
    assert folder.is_empty
    assert folder.flush() == []

    found: dict[str, list[Sample]] = {}
    for sample in number.read(blocks):
        found.setdefault(_metric(number.keys[sample.series]), []).append(sample)
    for metric, wanted in expected.items():
        of_metric = sorted(found[metric], key=lambda sample: sample.at_ms)
        assert [(_exact(each.value), each.flags) for each in of_metric] == [
            (_exact(value), bits) for value, bits in wanted
        ]
        moments = [each.at_ms for each in of_metric]
        assert all(later > earlier for earlier, later in pairwise(moments))


@given(st.lists(st.integers(50, 3000), min_size=1, max_size=100))
def test_moments_are_those_of_the_receipt_within_half_a_tick(steps: list[int]) -> None:
    number = Numbering()
    folder = Folder("serial:bed", StreamSection(tick_ms=10), number)
    blocks: list[Block] = []
    now = 0
    receipts = [now := now + step for step in steps]
    for receipt in receipts:
        blocks += folder.add((Reading("spo2", Decimal(97), "%"),), receipt, receipt)
    blocks += folder.flush()
    moments = [sample.at_ms for sample in number.read(blocks)]
    assert all(
        abs(moment - receipt) <= 5 for moment, receipt in zip(moments, receipts, strict=True)
    )


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=50))
def test_packed_numbers_have_the_least_width_and_come_back(numbers: list[int]) -> None:
    width, octets = packed(numbers)
    back = [
        int.from_bytes(octets[at : at + width], "little", signed=True)
        for at in range(0, len(octets), width)
    ]
    assert back == numbers
    if width > 1:
        half = {2: 1, 4: 2, 8: 4}[width] * 8 - 1
        assert any(not -(1 << half) <= number < 1 << half for number in numbers)


@given(st.lists(st.one_of(st.integers(-(1 << 61), 1 << 61), absents), min_size=1, max_size=30))
def test_a_column_keeps_numbers_and_reasons_apart(mantissas: list[int | Absent]) -> None:
    encoded = column(7, -1, mantissas, [0] * len(mantissas))
    assert len(encoded.absents or []) == sum(isinstance(each, Absent) for each in mantissas)
    assert encoded.flags is None
    assert len(encoded.deltas) == encoded.width * (len(mantissas) - 1)


def test_differences_of_one_number_are_none() -> None:
    assert differences([5]) == []
    assert packed([]) == (1, b"")


def _metric(key: SeriesKey) -> str:
    names = {1: "heart_rate", 2: "pulse_rate_oximeter", 4: "spo2", 5: "perfusion_index"}
    return names.get(key.metric, "ppg_rr_interval")


def _exact(value: Decimal | Absent) -> tuple[object, ...] | Absent:
    """120.0 and 120 are different numbers: digits and exponent count."""
    return value if isinstance(value, Absent) else value.as_tuple()
