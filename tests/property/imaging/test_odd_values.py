"""Whatever octets stand for numbers, dates and names: answers and directories are made of them.

From a file through the index's header to the identifier of a C-FIND response, and to the DICOMDIR
of an export.
"""

import io
import struct
from datetime import UTC, datetime
from typing import Any

import pydicom
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom.dsutils import decode, encode

from support.dicom_files import image, octets_of
from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.dimse.requests import FindRequest, QueryLevel
from wardlight_cloud.dimse.responses import find_response
from wardlight_cloud.imaging.directory import (
    directory,
    instance_record,
    patient_record,
    series_record,
    study_record,
)
from wardlight_cloud.imaging.exporting import _attributes, _patient_of
from wardlight_cloud.imaging.header import read_header
from wardlight_cloud.imaging.json_elements import element_of
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, InstanceRef, Level

ODD = {
    "InstanceNumber": "IS", "SeriesNumber": "IS", "SliceThickness": "DS", "StudyDate": "DA",
    "StudyTime": "TM", "AcquisitionDateTime": "DT", "FrameOfReferenceUID": "UI",
    "PatientName": "PN", "PatientAge": "AS", "Modality": "CS", "AccessionNumber": "SH",
    "PatientID": "LO", "NumberOfFrames": "IS",
}  # fmt: skip
UNITS = ("2a", "1,5", "20260230", "2026.02.03", "25:00", "1.2.abc", "A^B=C", "\\", "\\1", "", " ",
         "99999999999999999999", "NaN", "1e400", "-", "\uff11")  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(UNITS).map(str.encode), st.binary(max_size=24), st.text(max_size=12).map(
        lambda text: text.encode("utf-8", "replace")
    ),
)  # fmt: skip


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian, with a length of two octets."""
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def a_file(values: dict[str, bytes]) -> bytes:
    """An image with these octets as values, at its top and in an item."""
    made = image(SpecificCharacterSet="ISO_IR 192")
    for keyword in ("PixelData", *values):
        made.pop(keyword, None)
    odd = b"".join(
        element(Tag(keyword), ODD[keyword].encode(), octets) for keyword, octets in values.items()
    )
    head = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, len(odd) + 8)
    return octets_of(made) + odd + head + b"\xfe\xff\x00\xe0" + struct.pack("<I", len(odd)) + odd


def row_of(header: Any) -> ImageRow:
    """A match that has all of the header at its level."""
    ref = InstanceRef(
        header.study_uid, header.series_uid, header.sop_uid, header.sop_class,
        header.transfer_syntax, bytes(32), 1, 1, 16, 16, 1, "hot", datetime.now(UTC),
    )  # fmt: skip
    return ImageRow(
        header.study_uid, b"{}", 1, 1, ("CT",), (header.sop_class,), None, datetime.now(UTC), 1,
        header.series_uid, b"{}", 1, ref, header.header,
    )  # fmt: skip


def asked(*keywords: str) -> FindRequest:
    wanted = Dataset()
    for keyword in keywords:
        setattr(wanted, keyword, [] if keyword.endswith("Sequence") else "")
    keys: tuple[DataElement, ...] = tuple(wanted)
    return FindRequest(QueryLevel.IMAGE, ImageQuery(Level.INSTANCE), keys, "", ignored=False)


@given(st.dictionaries(st.sampled_from(sorted(ODD)), VALUES, min_size=1))
@example({"InstanceNumber": b"2a", "SliceThickness": b"1,5"})
@example({"InstanceNumber": b"99999999999999999999", "SliceThickness": b"99999999999999999999"})
@example({"SeriesNumber": "\uff11".encode(), "StudyDate": b"\xff\xfe"})
def test_any_value_leaves_the_others_their_place(values: dict[str, bytes]) -> None:
    quieten()
    header = read_header(io.BytesIO(a_file(values)))
    found = find_response(
        row_of(header), asked(*ODD, "RequestAttributesSequence", "Rows"), "WARDLIGHT"
    )
    octets = encode(found, True, True)
    assert octets is not None
    answer = decode(io.BytesIO(octets), True, True)
    assert answer.Rows == 16
    assert answer.SOPInstanceUID == header.sop_uid
    assert len(answer.RequestAttributesSequence) == 1
    if values.get("InstanceNumber") == b"2a":
        assert answer.get_item("InstanceNumber").value == b"2a"
        assert answer.RequestAttributesSequence[0].get_item("InstanceNumber").value == b"2a"

    attributes = _attributes(header.header)
    patient = patient_record(attributes, *(_patient_of(header.header) or ("", "1.2")))
    study, series = study_record(attributes), series_record(attributes)
    series.below = [instance_record(attributes, ["A"], header.transfer_syntax)]
    study.below, patient.below = [series], [study]
    made = directory([patient], instance_uid="1.2.3", file_set_id="T")
    records = list(pydicom.dcmread(io.BytesIO(made)).DirectoryRecordSequence)
    assert len(records) == 4
    assert all(str(each) for record in records for each in record.iterall())


@given(
    st.sampled_from(["IS", "DS", "DA", "TM", "DT", "UI", "PN", "AS", "US", "SL", "FD", "AT", "SQ",
                     "OW", "UN", "XX", ""]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Alphabetic", "00200013", "vr", "Value"]), inner),
        max_leaves=6,
    ),
)  # fmt: skip
def test_any_attribute_is_an_element_or_none(vr: str, value: Any) -> None:
    quieten()
    made = element_of(Tag("InstanceNumber"), {"vr": vr, "Value": value})
    if made is not None:
        found = Dataset()
        found.add(made)
        assert encode(found, False, True) is not None
