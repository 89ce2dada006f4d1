"""What the gateway refuses for its UIDs, the cloud would set aside; what the cloud takes, it takes.

Both are held against each other: the gateway reads lengths as the octets come, the cloud the whole
file with pydicom.
"""

import io
import struct
import zlib
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.header import read_header
from wardlight_edge.dicom.ending import Ending, NoStudy
from wardlight_shared.part10 import file_head
from wardlight_shared.uids import is_uid

CLASS: Final = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
JPIP_DEFLATED: Final = "1.2.840.10008.1.2.4.95"
BIG: Final = "1.2.840.10008.1.2.2"
_STUDY: Final = (0x0020, 0x000D)
_SERIES: Final = (0x0020, 0x000E)

Element = tuple[int, int, bytes, bytes]
VALUES: Final = st.one_of(
    st.sampled_from(
        [b"", b"1.2.3", b"1.2.3 ", b"..", b"1.2.", b"1.02", b"\0", b" ", b"1.2\\x", b"x\\1.2"]
    ),
    st.sampled_from(
        [b"1" * 64, b"1" * 65, b"1.2\0\0", b"\xb2", b"1.\x1b(B2", b"1" * 2000, b" 1.2"]
    ),
    st.binary(max_size=70),
)
UID_ELEMENTS: Final = st.tuples(
    st.just(0x0020),
    st.sampled_from([0x000D, 0x000D, 0x000E, 0x000E, 0x0010]),
    st.sampled_from([b"UI", b"UI", b"UI", b"UN", b"LO", b"OB", b"UT"]),
    VALUES,
)
OTHERS: Final = st.sampled_from(
    [
        (0x0008, 0x0060, b"CS", b"US"),
        (0x0010, 0x0020, b"LO", b"1"),
        (0x0019, 0x1001, b"XX", b"12"),
        (0x0021, 0x0010, b"LO", b"X"),
        (0x7FE0, 0x0010, b"OW", b"12345678"),
    ]
)
WELL: Final[tuple[Element, ...]] = ((*_STUDY, b"UI", b"1.2.3"), (*_SERIES, b"UI", b"1.2.4"))


def encoded(elements: list[Element], syntax: str) -> bytes:
    """A data set; a deflated one whole."""
    order = ">" if syntax == BIG else "<"
    octets = b""
    for group, number, vr, value in elements:
        value += b" " * (len(value) % 2)
        octets += struct.pack(f"{order}HH", group, number)
        if syntax == IMPLICIT:
            octets += struct.pack("<I", len(value))
        elif vr in (b"UN", b"OB", b"OW", b"UT"):
            octets += vr + struct.pack(f"{order}HI", 0, len(value))
        else:
            octets += vr + struct.pack(f"{order}H", len(value))
        octets += value
    if syntax not in (DEFLATED, JPIP_DEFLATED):
        return octets
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(octets) + squeeze.flush()


def refused_by_gateway(octets: bytes, syntax: str, step: int) -> bool:
    """Whether the gateway says that it has no study."""
    end = Ending(syntax)
    try:
        for at in range(0, len(octets), step):
            end.add(memoryview(octets)[at : at + step])
        end.end()
    except NoStudy:
        return True
    return False


def taken_by_cloud(octets: bytes, syntax: str) -> bool:
    """Whether the cloud puts it on the index."""
    try:
        read_header(io.BytesIO(file_head(CLASS, "1.2.3.9", syntax) + octets))
    except HeaderError:
        return False
    return True


def data_set(middle: list[Element]) -> list[Element]:
    """With what it says of itself before that."""
    said: list[Element] = [
        (0x0008, 0x0016, b"UI", CLASS.encode()), (0x0008, 0x0018, b"UI", b"1.2.3.9"),
    ]  # fmt: skip
    return said + middle


@given(
    middle=st.lists(st.one_of(UID_ELEMENTS, OTHERS), max_size=6),
    is_sorted=st.booleans(),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT, DEFLATED, BIG]),
    step=st.sampled_from([1, 7, 1 << 20]),
)
@example(middle=[(0x0019, 0x1001, b"XX", b"12"), *WELL], is_sorted=True, syntax=EXPLICIT, step=9)
@example(
    middle=[(*_STUDY, b"UI", b"1.2.3\\x"), WELL[1]], is_sorted=True, syntax=EXPLICIT, step=1 << 20
)
@example(middle=[(*_STUDY, b"UN", b"1.2"), WELL[1]], is_sorted=True, syntax=EXPLICIT, step=9)
@example(middle=[WELL[1], (*_STUDY, b"UI", b""), WELL[0]], is_sorted=False, syntax=EXPLICIT, step=1)
def test_what_the_cloud_takes_is_never_refused(
    middle: list[Element], is_sorted: bool, syntax: str, step: int
) -> None:
    elements = data_set(sorted(middle, key=lambda each: each[:2]) if is_sorted else middle)
    octets = encoded(elements, syntax)
    if taken_by_cloud(octets, syntax):
        assert not refused_by_gateway(octets, syntax, step)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, JPIP_DEFLATED, BIG])
@pytest.mark.parametrize("tag", [_STUDY, _SERIES])
@pytest.mark.parametrize("value", [None, b"", b"\0\0", b"..", b"1.2.", b"1" * 70, b"abc"])
def test_what_has_no_uid_is_refused_as_the_cloud_would(
    value: bytes | None, tag: tuple[int, int], syntax: str
) -> None:
    middle = [each if each[:2] != tag else (*tag, b"UI", value or b"") for each in WELL]
    if value is None:
        middle = [each for each in middle if each[:2] != tag]
    pixels = (0x7FE0, 0x0010, b"OW", bytes(64))
    octets = encoded([*data_set(middle), pixels], syntax)
    assert not taken_by_cloud(octets, syntax)
    assert all(refused_by_gateway(octets, syntax, step) for step in (1, 13, 1 << 20))
    whole = encoded([*data_set([*WELL]), pixels], syntax)
    assert taken_by_cloud(whole, syntax)
    assert not any(refused_by_gateway(whole, syntax, step) for step in (1, 13, 1 << 20))


def test_what_was_not_followed_to_its_end_is_not_judged() -> None:
    octets = encoded([*data_set([(0x0019, 0x1001, b"XX", b"12"), *WELL])], EXPLICIT)
    assert not refused_by_gateway(octets, EXPLICIT, 1 << 20)


def test_uids() -> None:
    assert all(map(is_uid, ("1", "1.2", "01.2", "1" * 64)))
    assert not any(map(is_uid, ("", ".", "..", "1.", ".1", "1..2", "1" * 65, "1 ", "1\n", "1.a")))
