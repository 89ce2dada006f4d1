"""The Nonin framer on damaged lines: what is lost, what is counted, what is never made up."""

import random
from decimal import Decimal
from statistics import median_low

import pytest

from wardlight_edge import devices
from wardlight_edge.devices import Frame, Framer, serial_nonin
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import Absent

FRAME = 5
PACKET = 125
FORMATS = [2, 7]
FOURTH = range(3 * PACKET, 4 * PACKET)  # the places of the bytes of the fourth packet


def _framer(data_format: int) -> Framer:
    return devices.load_serial("serial_nonin").framer({"data_format": data_format})


def _packet(data_format: int, pulse: int, spo2: int, draw: random.Random) -> bytes:
    """One packet by the plain rule of the specification, with a pleth that moves."""
    values = [pulse >> 7, pulse & 0x7F, spo2, 0x30, *[0] * 21]
    octets = bytearray()
    for place, value in enumerate(values):
        status = 0x80 | (place == 0)
        if data_format == 2:
            frame = [1, status, draw.randrange(20, 230), value]
        else:
            frame = [status, draw.randrange(0x60, 0xA0), draw.randrange(256), value]
        octets += bytes([*frame, sum(frame) % 256])
    return bytes(octets)


def _stream(data_format: int, packets: int, seed: int = 1) -> bytes:
    draw = random.Random(seed)
    return b"".join(_packet(data_format, 60 + place, 97, draw) for place in range(packets))


def _pulses(frames: tuple[Frame, ...]) -> list[Decimal | Absent]:
    return [frame.readings[1].value for frame in frames]


@pytest.mark.parametrize("data_format", FORMATS)
def test_one_frame_a_second_with_the_median_of_its_packets(data_format: int) -> None:
    frames = _framer(data_format).feed(_stream(data_format, 10))
    assert _pulses(frames) == [Decimal(61), Decimal(64), Decimal(67)]
    assert [len(run.samples) for frame in frames for run in frame.samples] == [150, 150, 150]


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_packet_that_lacks_a_frame_leaves_its_place_empty_however_it_was_cut(
    data_format: int,
) -> None:
    stream = _stream(data_format, 9)
    stream = stream[: PACKET + 50] + stream[PACKET + 55 :]
    whole, cut = _framer(data_format), _framer(data_format)
    frames = whole.feed(stream)
    assert frames == tuple(frame for octet in stream for frame in cut.feed(bytes([octet])))
    assert _pulses(frames) == [Decimal(60), Decimal(64)]
    assert whole.counts.damaged_at == cut.counts.damaged_at == 2 * PACKET - FRAME


@pytest.mark.parametrize("data_format", FORMATS)
def test_one_packet_is_decoded_in_the_format_that_fits(data_format: int) -> None:
    octets = _packet(data_format, 72, 97, random.Random(1))
    readings, info = serial_nonin.decode_bytes(octets, {})
    assert [reading.value for reading in readings] == [97, 72]
    assert info.manufacturer == "Nonin Medical"
    assert serial_nonin.decode_bytes(octets, {"data_format": data_format})[0] == readings


def test_format_8_is_decoded_where_no_other_fits() -> None:
    readings, _ = serial_nonin.decode_bytes(bytes.fromhex("80486100"), {})
    assert [reading.value for reading in readings] == [97, 72]


def test_bytes_without_a_packet_are_an_error() -> None:
    with pytest.raises(DecodeError, match="no whole"):
        serial_nonin.decode_bytes(b"\x01\x80", {})
    with pytest.raises(DecodeError, match="no whole packet"):  # holds 80 7f 00 00: no format #8
        serial_nonin.decode_bytes(bytes.fromhex("01807f0000"), {})
    with pytest.raises(DecodeError, match="25 frames"):
        serial_nonin.decode_bytes(b"\x01\x80", {"data_format": 2})


@pytest.mark.parametrize("data_format", FORMATS)
def test_joining_in_the_middle_of_a_packet(data_format: int) -> None:
    framer = _framer(data_format)
    frames = framer.feed(_stream(data_format, 8)[PACKET // 2 :])
    assert _pulses(frames) == [Decimal(62), Decimal(65)]
    assert framer.counts.damaged == 1  # the frame whose end came first
    assert framer.counts.skipped_octets < FRAME


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_lost_byte_costs_its_frame_and_none_after_it(data_format: int) -> None:
    stream = _stream(data_format, 9)
    for at in FOURTH:
        framer = _framer(data_format)
        frames = framer.feed(stream[:at] + stream[at + 1 :])
        assert framer.counts.frames == 9 * 25 - 1 - 1, at  # the last waits for the one after it
        assert framer.counts.damaged == 1, at
        assert framer.counts.skipped_octets == FRAME - 1, at
        # Where the byte before is the same, the stream does not say which of the two was lost.
        same = at - (stream[at - 1] == stream[at])
        assert _pulses(frames) in [_pulses_without(lost) for lost in (same, at)], at


def _pulses_without(at: int) -> list[int]:
    """The pulse rates of the seconds of a stream whose frame at byte ``at`` is damaged."""
    packet, is_first = at // PACKET, at % PACKET < FRAME
    slots = [60 + place if place != packet else None for place in range(9)]
    if is_first:  # nothing says that a packet has begun
        del slots[packet]
    seconds = [slots[first : first + 3] for first in range(0, len(slots) - 3, 3)]
    return [median_low(pulse for pulse in second if pulse) for second in seconds]


@pytest.mark.parametrize("data_format", FORMATS)
def test_an_added_byte_costs_at_most_its_frame(data_format: int) -> None:
    stream = _stream(data_format, 9)
    for at in FOURTH:
        framer = _framer(data_format)
        framer.feed(stream[:at] + b"\x00" + stream[at:])
        inside = at % FRAME != 0
        assert framer.counts.frames == 9 * 25 - 1 - inside, at
        assert framer.counts.skipped_octets == 1 + FRAME * inside, at


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_changed_byte_costs_its_frame(data_format: int) -> None:
    whole = _stream(data_format, 9)
    for at in FOURTH:
        stream = bytearray(whole)
        stream[at] ^= 0x55
        framer = _framer(data_format)
        framer.feed(bytes(stream))
        assert framer.counts.frames == 9 * 25 - 1 - 1, at
        assert (framer.counts.damaged, framer.counts.skipped_octets) == (1, FRAME), at


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_broken_packet_leaves_a_gap_between_the_samples(data_format: int) -> None:
    stream = bytearray(_stream(data_format, 4))
    stream[PACKET + 60] ^= 0xFF  # in the second packet
    (frame,) = _framer(data_format).feed(bytes(stream))
    assert [(run.first, len(run.samples) // 2) for run in frame.samples] == [(0, 25), (50, 25)]


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_second_without_a_whole_packet_gives_nothing(data_format: int) -> None:
    stream = bytearray(_stream(data_format, 7))
    for packet in range(3):
        stream[packet * PACKET + 60] ^= 0xFF
    framer = _framer(data_format)
    frames = framer.feed(bytes(stream))
    assert _pulses(frames) == [Decimal(64)]
    assert framer.counts.damaged == 3


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_lost_first_frame_hides_its_packet_only(data_format: int) -> None:
    stream = _stream(data_format, 8)
    frames = _framer(data_format).feed(stream[: 3 * PACKET] + stream[3 * PACKET + FRAME :])
    assert _pulses(frames) == [Decimal(61), Decimal(65)]


@pytest.mark.parametrize("data_format", FORMATS)
def test_noise_gives_no_reading_and_does_not_pile_up(data_format: int) -> None:
    framer = _framer(data_format)
    assert framer.feed(random.Random(7).randbytes(200_000)) == ()
    kept = sum(
        len(value) for value in vars(framer).values() if isinstance(value, bytes | bytearray)
    )
    assert kept < 2 * PACKET
    assert len(framer.feed(_stream(data_format, 8))) >= 2


@pytest.mark.parametrize("data_format", FORMATS)
def test_the_other_format_is_noise(data_format: int) -> None:
    assert _framer(data_format).feed(_stream(9 - data_format, 30)) == ()


def test_a_flat_line_that_fits_shifted_gives_no_reading() -> None:
    """Format 7 with a flat pleth of 0x8000: one byte on, the sums fit as well; no packet does."""
    flat = bytes([0x80, 0x80, 0, 0, 0])
    assert _framer(7).feed(flat[1:] + flat * 400) == ()


def test_format_2_is_the_default() -> None:
    framer = devices.load_serial("serial_nonin").framer({})
    assert len(framer.feed(_stream(2, 4))) == 1


@pytest.mark.parametrize("options", [{"data_format": 8}, {"data_format": "2"}, {"format": 2}])
def test_an_unknown_option_is_a_configuration_error(options: dict[str, int | str]) -> None:
    with pytest.raises(ConfigError, match="data_format"):
        devices.load_serial("serial_nonin").framer(options)
