"""A data set is whole or it is not, however it is encoded and in whatever pieces it comes.

The data sets are written by pydicom, which also says where their elements of the first level end.
"""

import struct
from typing import Final

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from wardlight_shared.data_set_end import BIG_ENDIAN, DataSetEnd, NotWhole

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
SYNTAXES: Final = (IMPLICIT, EXPLICIT, BIG_ENDIAN)


def _encoded(made: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT
    buffer.is_little_endian = syntax != BIG_ENDIAN
    write_dataset(buffer, made)
    return buffer.getvalue()


def _report(*, undefined: bool) -> Dataset:
    """Sequences in sequences, with or without lengths; a value that needs a long head; pixels."""
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "no abnormality"
    outer = Dataset()
    outer.ConceptNameCodeSequence = Sequence([inner])
    outer.TextValue = "MALIGNANT MASS"
    made = Dataset()
    made.SOPInstanceUID, made.PatientID = "1.2.3", "WARD-1"
    made.ContentSequence = Sequence([outer, Dataset(), outer])
    made.EncapsulatedDocument = b"%PDF"
    for each in (made, outer):
        for element in each:
            if element.VR == "SQ":
                element.is_undefined_length = undefined
                for item in element.value:
                    item.is_undefined_length_sequence_item = undefined
    return made


def _ends(made: Dataset, syntax: str) -> list[int]:
    """Where elements of the first level end."""
    ends, so_far = [0], Dataset()
    for element in made:
        so_far.add(element)
        ends.append(len(_encoded(so_far, syntax)))
    return ends


def _is_whole(octets: bytes, syntax: str, *, step: int = 1 << 20, deep: bool = False) -> bool:
    end = DataSetEnd(syntax, is_sequence=_is_sequence if deep else None)
    try:
        for at in range(0, len(octets), step):
            end.add(memoryview(octets)[at : at + step])
        end.end()
    except NotWhole:
        return False
    return True


def _is_sequence(tag: int, _vr: bytes) -> bool:
    return tag in (0x0040A730, 0x0040A043)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_cut_anywhere_within_an_element_is_seen(syntax: str, undefined: bool, deep: bool) -> None:
    made = _report(undefined=undefined)
    octets, ends = _encoded(made, syntax), _ends(made, syntax)
    for size in range(len(octets) + 1):
        for step in (1, 7, 1 << 20):
            found = _is_whole(octets[:size], syntax, step=step, deep=deep)
            assert found == (size in ends), (size, step)


def test_pixel_data_ends_with_its_last_frame_and_its_delimiter() -> None:
    made = Dataset()
    made.Rows = 2
    made.add_new(0x7FE00010, "OB", encapsulate([b"\xff\x4f" + bytes(20)] * 3))
    made["PixelData"].is_undefined_length = True
    octets = _encoded(made, EXPLICIT)
    begins = _ends(made, EXPLICIT)[1]
    assert _is_whole(octets, EXPLICIT, step=5)
    assert not any(_is_whole(octets[:size], EXPLICIT) for size in range(begins + 1, len(octets)))
    plain = _encoded(Dataset(), EXPLICIT) + struct.pack("<HH2sHI", 0x7FE0, 16, b"OW", 0, 9)
    assert _is_whole(plain + bytes(9), EXPLICIT), "an odd length"
    assert not _is_whole(plain + bytes(8), EXPLICIT)


def test_what_others_let_pass_behind_a_data_set_is_let_pass() -> None:
    report = _encoded(_report(undefined=True), EXPLICIT)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 16, b"OW", 0, 4) + b"abcd"
    for padding in (bytes(1), bytes(8), bytes(100), bytes(512)):
        assert _is_whole(report + padding, EXPLICIT)
        assert _is_whole(pixels + padding, EXPLICIT)
    for rubbish in (b"\r\n", b"\n", b"   ", b"some words of the sender", b"\xff" * 8):
        assert _is_whole(pixels + rubbish, EXPLICIT), rubbish
    signature = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 6) + bytes(6)
    assert _is_whole(pixels + signature, EXPLICIT)
    for size in range(2, len(signature)):
        assert not _is_whole(pixels + signature[:size], EXPLICIT), "elements may follow the pixels"


def test_an_element_that_is_longer_than_what_it_is_in() -> None:
    octets = _encoded(_report(undefined=False), EXPLICIT)
    at = octets.index(b"\x08\x00\x04\x01LO") + 6
    longer = octets[:at] + struct.pack("<H", 60) + octets[at + 2 :]
    assert _is_whole(longer, EXPLICIT), "a gateway passes values over"
    assert not _is_whole(longer, EXPLICIT, deep=True)
    item = octets.index(b"\xfe\xff\x00\xe0") + 4
    assert not _is_whole(octets[:item] + b"\xf0\0" + octets[item + 2 :], EXPLICIT, deep=True)


def test_zeros_instead_of_the_rest_of_a_sequence() -> None:
    """As a file has them whose room was taken before it arrived."""
    octets = _encoded(_report(undefined=True), EXPLICIT)
    end = octets.index(b"\xfe\xff\xdd\xe0")
    assert not _is_whole(octets[:end] + bytes(len(octets) - end), EXPLICIT)


def test_the_first_element_tells_whether_there_are_value_representations() -> None:
    made = _report(undefined=True)
    for written, announced in ((IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT)):
        octets = _encoded(made, written)
        assert _is_whole(octets, announced)
        assert not _is_whole(octets[:-1], announced)
    unknown = struct.pack("<HH2sHI", 0x0041, 0x1001, b"UN", 0, 0xFFFFFFFF)
    inside = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + _encoded(made, IMPLICIT)
    ends = b"".join(struct.pack("<HHI", 0xFFFE, each, 0) for each in (0xE00D, 0xE0DD))
    assert _is_whole(unknown + inside + ends, EXPLICIT), "UN of undefined length has no VRs inside"
    assert not _is_whole(unknown + inside + ends[:8], EXPLICIT)


def test_long_values_need_not_be_shown() -> None:
    head = struct.pack("<HH2sHI", 0x0042, 0x0011, b"OB", 0, 1_000_000)
    for passed, is_whole in ((1_000_000, True), (999_999, False)):
        end = DataSetEnd(EXPLICIT)
        end.add(head)
        assert end.ahead == 1_000_000
        end.pass_over(passed)
        if is_whole:
            end.end()
            continue
        with pytest.raises(NotWhole, match="inside a value"):
            end.end()


def test_hostile_data_sets_cost_little() -> None:
    deep = struct.pack("<HH2sHI", 8, 6, b"SQ", 0, 0xFFFFFFFF)
    deep += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(NotWhole, match="too many sequences"):
        DataSetEnd(EXPLICIT).add(deep * 100)
    for syntax in (EXPLICIT, IMPLICIT):
        end = DataSetEnd(syntax, heads_most=10)
        end.add(struct.pack("<HH2sH", 8, 8, b"CS", 0) * 12 + b"\x08")
        end.end()  # nobody judges what has so many elements


def test_an_unknown_value_representation_ends_the_judgement() -> None:
    odd = struct.pack("<HH2sH", 8, 8, b"ZZ", 9)
    assert _is_whole(odd + b"\x08\x00\x01", EXPLICIT)
