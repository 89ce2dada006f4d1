"""Many values a second reduced to median, lowest and highest: in order, as they were shown."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices import Frame, berry_bci, serial_contec, serial_nonin
from wardlight_edge.devices._extremes import reduced
from wardlight_shared.model import Absent, Flag, Reading

NONE: Final = (bytes((0, *range(101, 256))), frozenset((0, 255)))
SPO2: Final = st.sampled_from([0, 60, 84, 85, 96, 97, 98, 99, 100, 101, 127])
PULSE: Final = st.sampled_from([0, 40, 71, 72, 73, 200, 255])
PAIRS: Final = st.lists(st.tuples(SPO2, PULSE), min_size=1, max_size=60)

Shown = Sequence[tuple[int, int]]


def _contec(pairs: Shown) -> Frame:
    """One second of a CMS50D+ that shows these (SpO2, pulse rate), and the frame behind it."""
    shown = [
        bytes((0x85, 30, 5 | (pulse & 0x80) >> 1, pulse & 0x7F, spo2)) for spo2, pulse in pairs
    ]
    (frame,) = serial_contec.framer({}).feed(b"".join(shown) + shown[-1])
    return frame


def _contec_46(pairs: Shown) -> Frame:
    """The same of a CMS50D+ 4.6: bit 7 of strength to FF in the second byte."""
    shown = [
        bytes((1, 0xE0 | (pulse >> 7) << 3, 0x85, 0x9E, 0x85, 0x80 | pulse, 0x80 | spo2, 255, 255))
        for spo2, pulse in pairs
    ]
    framer = serial_contec.framer({"data_format": "v46"})
    (frame,) = framer.feed(b"".join(shown) + shown[-1])
    return frame


def _nonin_packet(spo2: int, pulse: int, status: int = 0) -> bytes:
    """Format #2 by its rule: 25 frames; pulse rate, pulse rate and SpO2 in the first three."""
    values = [pulse >> 7, pulse & 0x7F, spo2, *[0] * 22]
    frames = ((1, 0x80 | status | (place == 0), 100, value) for place, value in enumerate(values))
    return b"".join(bytes((*frame, sum(frame) % 256)) for frame in frames)


def _nonin(pairs: Shown) -> Frame:
    """One second of three packets, each shown for a third of it, and the packet behind."""
    thirds = [pairs[place * len(pairs) // 3] for place in range(3)]
    packets = [_nonin_packet(*each) for each in thirds]
    (frame,) = serial_nonin.framer({}).feed(b"".join(packets) + packets[0])
    return frame


def _berry(pairs: Shown) -> Frame:
    shown = (
        bytes((0x86, 50, 5 | (pulse & 0x80) >> 1, pulse & 0x7F, spo2)) for spo2, pulse in pairs
    )
    return berry_bci.decode_frame("49535343-1E4D-4BD9-BA61-23C647249616", b"".join(shown))


MAKES: Final = (_contec, _contec_46, _nonin, _berry)
every_line = pytest.mark.parametrize("second", MAKES)


def _values(frame: Frame) -> list[tuple[int | str, ...]]:
    return [
        tuple(each.value.value if isinstance(each.value, Absent) else int(each.value) for each in r)
        for r in (*frame.before, frame.readings, *frame.after)
    ]


@every_line
def test_a_steady_second_is_one_value(second: Callable[[Shown], Frame]) -> None:
    assert _values(second([(97, 172)] * 60)) == [(97, 172)]


@every_line
def test_a_change_is_two_values_in_their_order(second: Callable[[Shown], Frame]) -> None:
    assert _values(second([(97, 72)] * 40 + [(98, 72)] * 20)) == [(97, 72), (98, 72)]
    assert _values(second([(98, 72)] * 20 + [(97, 72)] * 40)) == [(98, 72), (97, 72)]


@every_line
def test_a_rise_is_its_lowest_its_median_its_highest(second: Callable[[Shown], Frame]) -> None:
    rise = [(97, 60)] * 20 + [(97, 61)] * 20 + [(97, 162)] * 20
    assert _values(second(rise)) == [(97, 60), (97, 61), (97, 162)]
    assert _values(second(rise[::-1])) == [(97, 162), (97, 61), (97, 60)]


@every_line
def test_a_short_fall_is_kept_and_the_pleth_stays_whole(second: Callable[[Shown], Frame]) -> None:
    frame = second([(97, 72)] * 20 + [(84, 71)] * 20 + [(97, 72)] * 20)
    assert _values(frame) == [(97, 72), (84, 71)]
    whole = 75 if second is _nonin else 60
    assert [len(run.samples) // 2 for run in frame.samples] == [whole]


def test_a_fall_of_a_tenth_of_a_second_is_kept() -> None:
    shown = [(97, 72)] * 30 + [(84, 71)] * 6 + [(97, 72)] * 24
    for second in (_contec, _contec_46, _berry):
        assert _values(second(shown)) == [(97, 72), (84, 71)]


@every_line
def test_a_number_that_is_none_is_no_extreme(second: Callable[[Shown], Frame]) -> None:
    assert _values(second([(97, 72)] * 40 + [(0, 72)] * 10 + [(127, 72)] * 10)) == [(97, 72)]


@every_line
def test_a_pulse_that_falls_is_kept_where_no_saturation_is_shown(
    second: Callable[[Shown], Frame],
) -> None:
    frame = second([(127, 72)] * 40 + [(127, 38)] * 20)
    assert _values(frame) == [("not-measured", 72), ("not-measured", 38)]


@every_line
def test_a_second_without_a_number_is_none(second: Callable[[Shown], Frame]) -> None:
    frame = second([(127, 0)] * 60)
    assert _values(frame) == [("not-measured", "not-measured")]


@every_line
def test_what_is_flagged_is_flagged_on_all(second: Callable[[Shown], Frame]) -> None:
    frame = second([(97, 72)] * 40 + [(98, 72)] * 20)
    sets = {each.flags for r in (*frame.before, frame.readings, *frame.after) for each in r}
    assert len(sets) == 1


def test_a_saturation_over_100_of_one_packet_is_neither_highest_nor_median() -> None:
    packets = _nonin_packet(96, 72) + _nonin_packet(101, 72) + _nonin_packet(97, 72)
    (frame,) = serial_nonin.framer({}).feed(packets + _nonin_packet(97, 72))
    assert _values(frame) == [(96, 72), (97, 72)]
    (frame,) = serial_nonin.framer({}).feed(_nonin_packet(101, 72) * 4)
    (spo2, _) = frame.readings
    assert (spo2.value, spo2.raw_value) == (Absent.INVALID, Decimal(101))


def test_a_broken_packet_of_a_second_counts_for_nothing() -> None:
    broken = bytearray(_nonin_packet(60, 40))
    broken[62] ^= 0xFF
    packets = _nonin_packet(96, 71) + bytes(broken) + _nonin_packet(97, 72)
    (frame,) = serial_nonin.framer({}).feed(packets + _nonin_packet(97, 72))
    assert _values(frame) == [(96, 71), (97, 72)]


def test_frames_without_a_finger_are_no_extremes_but_flag_the_second() -> None:
    off = bytes((0x86, 50, 0x15, 40, 60))
    octets = bytes((0x86, 50, 5, 72, 97)) * 50 + off * 50
    frame = berry_bci.decode_frame("49535343-1E4D-4BD9-BA61-23C647249616", octets)
    assert _values(frame) == [(97, 72)]
    assert {each.flags for each in frame.readings} == {int(Flag.SENSOR_OFF)}
    frame = berry_bci.decode_frame("49535343-1E4D-4BD9-BA61-23C647249616", off * 100)
    assert _values(frame) == [("sensor-off", "sensor-off")]


def test_frames_of_a_contec_without_finger_or_probe_are_no_extremes() -> None:
    on = bytes((0x85, 30, 0x45, 172 & 0x7F, 97))
    out, error = bytes((0x95, 30, 0x05, 40, 60)), bytes((0x85, 30, 0x15, 127, 100))
    both = bytes((0x95, 30, 0x55, 100, 99))
    (frame,) = serial_contec.framer({}).feed((on + out + error + both) * 15 + on)
    assert _values(frame) == [(97, 172)]
    assert {each.flags for each in frame.readings} == {int(Flag.SENSOR_OFF | Flag.SENSOR_FAULT)}
    (frame,) = serial_contec.framer({}).feed(error * 61)
    assert _values(frame) == [("sensor-fault", "sensor-fault")]


def test_packets_without_a_sensor_are_no_extremes_but_flag_the_second() -> None:
    on, alarm, unplugged = (_nonin_packet(97, 72, bits) for bits in (0, 0x08, 0x40))
    (frame,) = serial_nonin.framer({}).feed(on + _nonin_packet(60, 40, 0x08) + on + on)
    assert _values(frame) == [(97, 72)]
    assert {each.flags for each in frame.readings} == {int(Flag.SENSOR_OFF)}
    (frame,) = serial_nonin.framer({}).feed(unplugged + alarm + unplugged + on)
    assert _values(frame) == [("sensor-off", "sensor-off")]
    assert [each.raw_value for each in frame.readings] == [97, 72]
    (frame,) = serial_nonin.framer({}).feed(unplugged * 3 + on)
    assert _values(frame) == [("sensor-fault", "sensor-fault")]


def test_a_packet_in_which_the_finger_leaves_does_not_count() -> None:
    """Its numbers stand in its first frames; that the finger is out, in one of the last."""
    leaving = bytearray(_nonin_packet(60, 40))
    leaving[24 * 5 + 1] |= 0x08
    leaving[24 * 5 + 4] += 0x08
    packets = _nonin_packet(97, 72) + bytes(leaving) + _nonin_packet(97, 72, 0x08)
    (frame,) = serial_nonin.framer({}).feed(packets + _nonin_packet(97, 72))
    assert _values(frame) == [(97, 72)]


@given(PAIRS)
def test_lowest_and_highest_are_kept_and_nothing_is_invented(shown: Shown) -> None:
    columns = [spo2 for spo2, _ in shown], [pulse for _, pulse in shown]
    found = reduced(columns, NONE)
    as_bytes = bytes(columns[0]), bytes(columns[1])
    assert reduced(as_bytes, (NONE[0], bytes(NONE[1]))) == found
    kept = [shown[at] for at in (*found.before, *found.after)]
    for place, (column, none) in enumerate(zip(columns, NONE, strict=True)):
        values = sorted(number for number in column if number not in none)
        middle = found.middle[place]
        assert middle == (values[(len(values) - 1) // 2] if values else None)
        given_out = {pair[place] for pair in kept} | {middle}
        assert {*values[:1], *values[-1:]} <= given_out
    assert len(kept) <= 4
    assert [*found.before, *found.after] == sorted({*found.before, *found.after})


@given(PAIRS)
def test_readings_say_what_was_shown(shown: Shown) -> None:
    frame = _berry(shown)
    pairs = set(shown)
    for readings in (*frame.before, *frame.after):
        assert _sent(readings) in pairs or Absent.NOT_MEASURED in {each.value for each in readings}
    assert all(0 < value <= 100 for value in _numbers(frame, 0))
    assert all(0 < value < 255 for value in _numbers(frame, 1))


def _sent(readings: tuple[Reading, ...]) -> tuple[object, ...]:
    return tuple(each.value if each.raw_value is None else each.raw_value for each in readings)


def _numbers(frame: Frame, place: int) -> list[Decimal]:
    values = [each[place].value for each in (*frame.before, frame.readings, *frame.after)]
    return [value for value in values if isinstance(value, Decimal)]
