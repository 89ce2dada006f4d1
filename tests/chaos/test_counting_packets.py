"""The campaign's oximeters count so that the product's seconds leave nothing of them out."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations

import pytest

from wardlight_edge import devices
from wardlight_edge.devices import Frame
from wardlight_lab.chaos.bedside import BEDS, PACKETS_A_SECOND, PAIRS, BedSpec
from wardlight_lab.serialport import Format, Oximetry, packet

FLAT = (20_000,) * 25
OPTIONS = {Format.DF2: {"data_format": 2}, Format.DF7: {"data_format": 7}}


def _line(spec: BedSpec, numbers: Sequence[int], broken: frozenset[int] = frozenset()) -> bytes:
    octets = bytearray()
    for number in numbers:
        raw = bytearray(packet(spec.format, Oximetry(*spec.values(number)), FLAT))
        raw[62] ^= 0x55 if number in broken else 0
        octets += raw
    return bytes(octets)


def _seconds(spec: BedSpec, octets: bytes) -> tuple[Frame, ...]:
    return devices.load_serial("serial_nonin").framer(OPTIONS[spec.format]).feed(octets)


def _told(frame: Frame) -> Iterator[tuple[int, int]]:
    for readings in (*frame.before, frame.readings, *frame.after):
        spo2, pulse = (each.value for each in readings)
        assert isinstance(spo2, Decimal)
        assert isinstance(pulse, Decimal)
        yield int(spo2), int(pulse)


@pytest.mark.parametrize("spec", BEDS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("phase", range(PACKETS_A_SECOND))
def test_every_packet_leaves_a_sample_of_its_own_in_its_order(spec: BedSpec, phase: int) -> None:
    numbers = range(phase, phase + PAIRS + 3 * PACKETS_A_SECOND)
    frames = _seconds(spec, _line(spec, numbers))
    told = [pair for frame in frames for pair in _told(frame)]
    assert told == [spec.values(number) for number in numbers][: len(told)]
    assert len(told) >= len(numbers) - PACKETS_A_SECOND


@pytest.mark.parametrize("count", [1, 2])
def test_a_broken_packet_hides_no_other(count: int) -> None:
    spec = BEDS[0]
    for first in range(0, PAIRS - PACKETS_A_SECOND, 7):
        second = range(first, first + PACKETS_A_SECOND)
        for broken in combinations(second, count):
            octets = _line(spec, range(first, first + 2 * PACKETS_A_SECOND), frozenset(broken))
            whole = [spec.values(number) for number in second if number not in broken]
            assert list(_told(_seconds(spec, octets)[0])) == whole, broken


def test_every_pair_comes_once() -> None:
    for spec in BEDS:
        assert len({spec.values(number) for number in range(PAIRS)}) == PAIRS
