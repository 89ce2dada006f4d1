"""What a request may cost: the memory of hostile data sets, measured, with the bounds of each."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from wardlight_edge.dicom import commitment, data_sets, steps, worklist
from wardlight_edge.dicom.base import Bound
from wardlight_edge.dicom.data_sets import TooMuch
from wardlight_edge.dicom.requests import Collecting
from wardlight_shared.errors import DecodeError

MB = 1_000_000
WORKLIST = (worklist.WorklistService.bound, worklist._MOST_VALUES, 6 * MB)
STEPS = (steps.StepService.bound, steps._MOST_VALUES, 50 * MB)


def _element(group: int, element: int, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HHI", group, element, len(value)) + value


def _flat(size: int) -> Iterator[bytes]:
    for number in range(size // 8):
        yield struct.pack("<HHI", 0x0009 + 2 * (number >> 15), 1 + (number & 0x7FFF), 0)


def _names(size: int) -> Iterator[bytes]:
    """Private elements that say they are names."""
    for number in range(size // 10):
        yield struct.pack("<HH2sH", 0x0009 + 2 * (number >> 15), 1 + (number & 0x7FFF), b"PN", 2)
        yield b"A "


def _items(size: int) -> bytes:
    return _element(0x0040, 0x0100, struct.pack("<HHI", 0xFFFE, 0xE000, 0) * ((size - 8) // 8))


HOSTILE: list[tuple[str, Callable[[int], bytes]]] = [
    (ImplicitVRLittleEndian, lambda size: b"".join(_flat(size))),
    (ImplicitVRLittleEndian, _items),
    (ImplicitVRLittleEndian, lambda size: _element(0x0010, 0x0010, b"\\" * (size - 8))),
    (ImplicitVRLittleEndian, lambda size: _element(0x0028, 0x0030, b"1\\" * (size // 2 - 4))),
    (ExplicitVRLittleEndian, lambda size: b"".join(_names(size))),
]


CASES = [*((WORKLIST, *each) for each in HOSTILE), (STEPS, *HOSTILE[1]), (STEPS, *HOSTILE[4])]


@pytest.mark.parametrize(("service", "syntax", "made"), CASES)
def test_no_data_set_within_the_bounds_takes_much_memory(
    service: tuple[Bound, int, int], syntax: str, made: Callable[[int], bytes]
) -> None:
    bound, most_values, most_bytes = service
    octets = made(bound.octets)
    assert 0.9 * bound.octets < len(octets) <= bound.octets
    tracemalloc.start()
    try:
        with suppress(DecodeError):
            data_sets.read(octets, syntax, most_values=most_values)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most_bytes


def test_a_large_request_that_is_honest_is_read() -> None:
    """There is room for a step of 5,000 images, and for commitment of 20,000."""
    pair = _element(8, 0x1150, b"1.2.840.10008.5.1.4.1.1.2") + _element(8, 0x1155, b"1.2." * 15)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(pair)) + pair
    for count, bound, most in (
        (5_000, steps.StepService.bound, steps._MOST_VALUES),
        (20_000, commitment.CommitmentService.bound, commitment._MOST_VALUES),
    ):
        assert 8 + len(item) * count <= bound.octets
        assert 3 * count < most
    octets = _element(8, 0x1199, item * 100)
    found = data_sets.read(octets, ImplicitVRLittleEndian, most_values=301)
    assert len(found.ReferencedSOPSequence) == 100
    with pytest.raises(TooMuch):
        data_sets.read(octets, ImplicitVRLittleEndian, most_values=300)


def test_values_are_counted_wherever_they_are() -> None:
    for octets in (_items(800), _element(0x0010, 0x0010, b"\\" * 99), b"".join(_flat(800))):
        with pytest.raises(TooMuch):
            data_sets.read(octets, ImplicitVRLittleEndian, most_values=90)


def test_what_is_too_large_is_not_collected() -> None:
    bound = Bound(1000, 0xA700)
    part = memoryview(bytes(300))
    within, beyond = Collecting(bound, 60.0), Collecting(bound, 60.0)
    for _ in range(3):
        within.write(part)
    assert within.octets() == bytes(900)
    tracemalloc.start()
    try:
        for _ in range(10_000):
            beyond.write(part)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert beyond.octets() is None
    assert beyond.finish() == 0xA700
    assert held < 10_000
