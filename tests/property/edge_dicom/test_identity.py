"""What a data set says that it is: as pydicom reads it, however it is encoded and cut."""

import struct
import zlib
from io import BytesIO
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from support.dicom_wire import CT, EXPLICIT, IMPLICIT, instance
from wardlight_edge.dicom import identity
from wardlight_edge.dicom.identity import LOOKED_AT, Beginning, Identity, NoIdentity

BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
CUTS = st.lists(st.integers(0, 40), max_size=60)


def _data_set(uid: str, *, with_items: bool, undefined: bool) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    if with_items:
        inner = Dataset()
        inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "en", "X", "English"
        inner.SOPClassUID, inner.SOPInstanceUID = "1.9.1", "1.9.2"  # of something else
        inner.ConceptCodeSequence = Sequence([Dataset()])
        inner["ConceptCodeSequence"].is_undefined_length = undefined
        inner.is_undefined_length_sequence_item = undefined
        made.LanguageCodeSequence = Sequence([inner, Dataset()])
        made["LanguageCodeSequence"].is_undefined_length = undefined
    made.ImageType = ["ORIGINAL", "PRIMARY"]
    made.SOPClassUID, made.SOPInstanceUID = CT, uid
    made.PatientName = "Doe^Jane"
    return made


def _encoded(made: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT
    buffer.is_little_endian = syntax != BIG
    write_dataset(buffer, made)
    if syntax != DEFLATED:
        return buffer.getvalue()
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(buffer.getvalue()) + squeeze.flush()


def _read(octets: bytes, syntax: str, cuts: list[int]) -> Identity:
    beginning, stream = Beginning(syntax), BytesIO(octets)
    for cut in [*cuts, len(octets)]:
        found = beginning.add(memoryview(stream.read(cut)))
        if found is not None:
            return found
    return beginning.end()


@given(
    st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.4.90"]),
    st.booleans(), st.booleans(), CUTS,
)  # fmt: skip
def test_it_is_found_in_every_encoding(
    syntax: str, with_items: bool, undefined: bool, cuts: list[int]
) -> None:
    made = _data_set("1.2.3.45", with_items=with_items, undefined=undefined)
    octets = _encoded(made, syntax)
    assert _read(octets, syntax, cuts) == (CT, "1.2.3.45")
    if UID(syntax) not in (DEFLATED, BIG):  # the first element tells, as pydicom reads it
        assert _read(octets, EXPLICIT if syntax == IMPLICIT else IMPLICIT, cuts) == (CT, "1.2.3.45")


@given(st.binary(max_size=200), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]), CUTS)
@example(
    b"\x08\x00\x06\x00SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 99,
    EXPLICIT,
    [],
)
def test_any_octets_are_an_answer_or_an_error(octets: bytes, syntax: str, cuts: list[int]) -> None:
    try:
        _read(octets, syntax, cuts)
    except NoIdentity:
        return


def _long(tag: int, length: int) -> bytes:
    return struct.pack("<HH2sHI", 8, tag, b"OB", 0, length) + bytes(length)


def test_it_stands_at_the_beginning_or_nowhere() -> None:
    """Padding is no part of it; what stands too far behind, doubly or not at all is not found."""
    padded = instance("1.2.3").replace(b"1.2.3\0", b"1.2.3 ")
    assert _read(padded, EXPLICIT, []) == (CT, "1.2.3")
    for far, is_found in ((LOOKED_AT - 200, True), (LOOKED_AT, False)):
        octets = _long(5, far) + instance("1.2.3")
        for cuts in ([], [1000] * 65):
            if is_found:
                assert _read(octets, EXPLICIT, cuts) == (CT, "1.2.3")
                continue
            with pytest.raises(NoIdentity):
                _read(octets, EXPLICIT, cuts)
    for octets in (
        instance("1.2.3")[34:], instance(""), instance("1.2.3", sop_class=""),
        instance("1.2.3", study=None, series=None)[:-14] + _long(0x20, 4),
        b"not a data set at all, but text",
    ):  # fmt: skip
        with pytest.raises(NoIdentity):
            _read(octets, EXPLICIT, [])
    with pytest.raises(NoIdentity, match="ends before"):
        _read(instance("1.2.3", study=None, series=None)[:-1], EXPLICIT, [])


@pytest.mark.parametrize("step", [1, 3])
def test_fragments_of_a_few_octets_are_read_now_and_then(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read in all grows with the octets, not with their square."""
    read: list[int] = []

    def counted(octets: memoryview, syntax: str) -> Identity:
        read.append(len(octets))
        return true(octets, syntax)

    true = identity._identity
    monkeypatch.setattr(identity, "_identity", counted)
    octets = _long(5, LOOKED_AT - 200) + instance("1.2.3")
    assert _read(octets, EXPLICIT, [step] * (len(octets) // step)) == (CT, "1.2.3")
    assert sum(read) <= 3 * LOOKED_AT
    with pytest.raises(NoIdentity, match="does not begin"):
        _read(_long(5, LOOKED_AT) + octets, EXPLICIT, [step] * (LOOKED_AT // step + 1))
    assert len(read) < 40


def test_a_small_stream_that_inflates_to_much_is_bounded() -> None:
    squeeze = zlib.compressobj(wbits=-15)
    bomb = squeeze.compress(_long(5, 1 << 24)) + squeeze.flush()
    with pytest.raises(NoIdentity):
        _read(bomb, DEFLATED, [])
