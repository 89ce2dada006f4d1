"""The framer against an independent reading of the same stream, cut and damaged at will."""

from decimal import Decimal
from itertools import pairwise
from statistics import median_low

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge import devices
from wardlight_edge.devices import Frame, Framer
from wardlight_shared.model import Absent

FORMATS = st.sampled_from([2, 7])
NO_SENSOR, ALARM = 1 << 6, 1 << 3


def _framer(data_format: int) -> Framer:
    return devices.load_serial("serial_nonin").framer({"data_format": data_format})


def _frame(data_format: int, status: int, pleth: int, value: int) -> bytes:
    head = [1, status, pleth & 0xFF] if data_format == 2 else [status, pleth >> 8, pleth & 0xFF]
    frame = [*head, value]
    return bytes([*frame, sum(frame) % 256])


@st.composite
def _packets(draw: st.DrawFn, data_format: int) -> list[bytes]:
    """A few packets; each as one bytes of 25 frames."""
    packets = []
    for _ in range(draw(st.integers(1, 8))):
        pulse, spo2 = draw(st.integers(0, 511)), draw(st.integers(0, 127))
        extra = draw(st.integers(0, 0x7E)) & 0x7E
        plethysmogram = draw(st.lists(st.integers(0, 0xFFFF), min_size=25, max_size=25))
        values = [pulse >> 7, pulse & 0x7F, spo2, 48, *[0] * 21]
        packets.append(
            b"".join(
                _frame(data_format, 0x80 | extra | (place == 0), pleth, value)
                for place, (pleth, value) in enumerate(zip(plethysmogram, values, strict=True))
            )
        )
    return packets


@st.composite
def _streams(draw: st.DrawFn) -> tuple[int, bytes]:
    data_format = draw(FORMATS)
    stream = bytearray(b"".join(draw(_packets(data_format))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(stream) - 1))
        match draw(st.sampled_from(["lose", "add", "change"])):
            case "lose":
                del stream[at]
            case "add":
                stream.insert(at, draw(st.integers(0, 255)))
            case _:
                stream[at] ^= draw(st.integers(1, 255))
    return data_format, bytes(stream)


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(edges)]


@given(stream=_streams(), places=st.lists(st.integers(0, 2000), max_size=30))
def test_chunking_changes_nothing(stream: tuple[int, bytes], places: list[int]) -> None:
    data_format, octets = stream
    whole, cut, single = (_framer(data_format) for _ in range(3))
    frames = whole.feed(octets)
    assert _joined(cut, _cut(octets, places)) == frames
    assert _joined(single, [octets[place : place + 1] for place in range(len(octets))]) == frames
    assert whole.counts == cut.counts == single.counts


def _joined(framer: Framer, pieces: list[bytes]) -> tuple[Frame, ...]:
    return tuple(frame for piece in pieces for frame in framer.feed(piece))


@given(data=st.data(), data_format=FORMATS)
def test_a_whole_stream_is_read_exactly(data: st.DataObject, data_format: int) -> None:
    packets = data.draw(_packets(data_format))
    framer = _framer(data_format)
    frames = framer.feed(b"".join(packets) + _frame(data_format, 0x81, 0, 0) * 2)
    assert framer.counts.damaged == 0
    assert len(frames) == len(packets) // 3
    for place, frame in enumerate(frames):
        sent = packets[3 * place : 3 * place + 3]
        on_patient = [each for each in sent if not each[data_format == 2] & (NO_SENSOR | ALARM)]
        shown = [(each[13], each[3] << 7 | each[8]) for each in on_patient]
        if shown:
            _check_second(frame, shown)
        else:
            is_alarm = any(each[data_format == 2] & ALARM for each in sent)
            reason = Absent.SENSOR_OFF if is_alarm else Absent.SENSOR_FAULT
            assert [reading.value for reading in frame.readings] == [reason, reason]
            assert not frame.before + frame.after
        (run,) = frame.samples
        second = b"".join(packets[3 * place : 3 * place + 3])
        assert [run.origin + word for word in memoryview(run.samples).cast("h")] == [
            second[at + 2] | (second[at + 1] << 8 if data_format == 7 else 0)
            for at in range(0, len(second), 5)
        ]


def _check_second(frame: Frame, shown: list[tuple[int, int]]) -> None:
    """The median of each number, and every packet that shows a number lowest or highest."""
    values = (
        [spo2 for spo2, _ in shown if 0 < spo2 <= 100],
        [pulse for _, pulse in shown if pulse not in (0, 511)],
    )
    last = (_saturation(shown[-1][0]), Absent.NOT_MEASURED)
    given = [tuple(each.value for each in r) for r in (*frame.before, frame.readings, *frame.after)]
    for place, numbers in enumerate(values):
        median = median_low(numbers) if numbers else last[place]
        assert frame.readings[place].value == median
        numbers_given = {each[place] for each in given if isinstance(each[place], Decimal)}
        assert numbers_given <= set(numbers)
        assert {min(numbers, default=None), max(numbers, default=None)} - {None} <= numbers_given


def _saturation(spo2: int) -> int | Absent:
    if spo2 in (0, 127):
        return Absent.NOT_MEASURED
    return spo2 if spo2 <= 100 else Absent.INVALID


@given(stream=_streams())
def test_every_byte_is_accounted_for(stream: tuple[int, bytes]) -> None:
    data_format, octets = stream
    framer = _framer(data_format)
    framer.feed(octets)
    counts = framer.counts
    waiting = len(octets) - 5 * counts.frames - counts.skipped_octets
    assert 0 <= waiting < 19  # one frame and what is needed to judge it
    assert counts.damaged >= counts.skipped_octets / 5


@given(data_format=FORMATS, noise=st.binary(max_size=400))
def test_noise_never_gives_a_reading(data_format: int, noise: bytes) -> None:
    framer = _framer(data_format)
    assert framer.feed(noise) == ()


@given(data=st.data(), data_format=FORMATS, noise=st.binary(max_size=60))
def test_a_stream_after_noise_is_found(data: st.DataObject, data_format: int, noise: bytes) -> None:
    """At most the packet that the noise touches, and its second, are late."""
    packets = data.draw(_packets(data_format)) * 8
    framer = _framer(data_format)
    frames = framer.feed(noise + b"".join(packets))
    assert len(frames) >= (len(packets) - 5) // 3
