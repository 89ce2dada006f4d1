"""Files of DCMTK's dcmconv, which is not our code, come out as dcmconv itself has them."""

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from support.dicom_files import bundled, image, octets_of
from support.peers import require_peer
from wardlight_cloud.dimse.transcoding import transcode_file
from wardlight_cloud.imaging.recoding import recode, swapped

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
SAMPLES = np.array([[0x0102_0304, 1], [0x8000_0001, 70_000]], "<u4")


def converted(octets: bytes, option: str, folder: Path) -> Dataset:
    """The file as dcmconv writes it."""
    source, target = folder / "source", folder / f"made{option}"
    source.write_bytes(octets)
    command = [str(require_peer("dcmconv")), option, str(source), str(target)]
    subprocess.run(command, check=True, timeout=180, capture_output=True)
    return pydicom.dcmread(target)


def with_numbers_of_all_kinds() -> bytes:
    """Samples of 32 bits, and numbers of every size at the top and in items."""
    made = image(side=2, BitsAllocated=32, BitsStored=32, HighBit=31, PixelData=SAMPLES.tobytes())
    numbers: list[tuple[int, str, Any]] = [
        (0x1011, "US", [1, 513]), (0x1012, "SS", -2), (0x1013, "UL", 0x01020304),
        (0x1014, "SL", -5), (0x1015, "FL", 0.5), (0x1016, "FD", [0.25, 1e300]),
        (0x1017, "AT", 0x00100020), (0x1018, "OF", b"\1\2\3\4"), (0x1019, "OW", b"\1\2\3\4"),
        (0x101A, "OD", bytes(range(8))), (0x101B, "OB", b"\1\2\3\4"), (0x101C, "LO", "text"),
        (0x101D, "OL", b"\1\2\3\4"), (0x101E, "UV", [1 << 40]),
    ]  # fmt: skip
    item = Dataset()
    for each in (made, item):
        each.add_new(0x00090010, "LO", "WARDLIGHT TEST")
        for element, vr, value in numbers:
            each.add_new(0x00090000 + element, vr, value)
    made.add_new(0x00091020, "SQ", [item])
    return octets_of(made)


@pytest.mark.parametrize(
    "octets",
    [with_numbers_of_all_kinds(), bundled("rtplan.dcm"), bundled("waveform_ecg.dcm"),
     bundled("MR_small.dcm")],
    ids=["numbers of all kinds", "plan", "waveform", "image"],
)  # fmt: skip
def test_big_endian_files_become_what_dcmtk_makes_of_them(octets: bytes, tmp_path: Path) -> None:
    converted(octets, "+tb", tmp_path)
    for option, syntax in (("+te", EXPLICIT), ("+ti", IMPLICIT)):
        expected = converted(octets, option, tmp_path)
        assert transcode_file(tmp_path / "made+tb", tmp_path / "ours", syntax) is None
        ours = pydicom.dcmread(tmp_path / "ours")
        assert ours.file_meta.TransferSyntaxUID == syntax
        assert ours == expected
        if "PixelData" in ours:
            assert ours.PixelData == expected.PixelData


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("option", ["+te", "+ti", "+tb"])
def test_what_nobody_can_read_goes_out_as_it_came(option: str, target: str, tmp_path: Path) -> None:
    made = image(side=2)
    item = Dataset()
    for each in (made, item):
        for keyword, vr, value in (
            ("InstanceNumber", "IS", b"2a"),
            ("SliceThickness", "DS", b"1,"),
        ):
            raw = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
            each[raw.tag] = raw
    made.ReferencedSeriesSequence = [item]
    converted(octets_of(made), option, tmp_path)
    assert transcode_file(tmp_path / f"made{option}", tmp_path / "ours", target) is None
    found = pydicom.dcmread(tmp_path / "ours")
    for each in (found, found.ReferencedSeriesSequence[0]):
        assert each.get_item("InstanceNumber").value == b"2a"
        assert each.get_item("SliceThickness").value == b"1,"


def test_a_part_of_a_word_is_left_alone() -> None:
    assert swapped(b"\1\2\3\4", 2) == b"\2\1\4\3"
    assert swapped(b"\1\2\3\4", 4) == b"\4\3\2\1"
    assert swapped(b"\1\2\3", 2) == b"\1\2\3"


def test_a_data_set_that_was_read_from_nowhere_stays() -> None:
    made = image(side=2)
    recode(made, is_implicit=False)
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, implicit_vr=False, little_endian=True, force_encoding=True)
    assert pydicom.dcmread(io.BytesIO(file.getvalue()), force=True).PixelData == made.PixelData
