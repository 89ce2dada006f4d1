"""Headers of pydicom's own files: as pydicom reads them, and frames where the octets are.

The expected JSON is that of pydicom's ``to_json_dict``, an implementation that is not ours; the
expected frames are those of pydicom's own generators.
"""

import base64
import contextlib
import io
import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import UID, JPEGBaseline8Bit
from pynetdicom import ALL_TRANSFER_SYNTAXES

from wardlight_cloud.imaging.elements import OCTETS_INLINE, TEXT_INLINE
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.file_meta import read_meta
from wardlight_cloud.imaging.header import read_header
from wardlight_cloud.store.image_arrivals import InstanceHeader
from wardlight_shared.part10 import file_head
from wardlight_shared.transfer_syntaxes import DEFLATED

PIXELS = "7FE00010"


def _read(path: str | Path) -> InstanceHeader:
    with Path(path).open("rb") as file:
        return read_header(file)


def _of_dataset(dataset: Dataset) -> InstanceHeader:
    octets = io.BytesIO()
    dataset.save_as(octets)
    octets.seek(0)
    return read_header(octets)


def _files() -> Iterator[str]:
    for path in sorted(Path(pydicom.data.__file__).parent.rglob("*.dcm")):
        try:
            _read(path)
        except HeaderError:
            continue
        yield str(path)


FILES = list(_files())


def _expected(path: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        found: dict[str, Any] = {}
        for tag in dataset.keys():  # noqa: SIM118 - iterating gives elements
            with contextlib.suppress(Exception):  # what does not fit its VR
                found[f"{tag:08X}"] = dataset[tag].to_json_dict(None, 0)
    return found


def _plain(elements: dict[str, Any]) -> dict[str, Any]:
    """What two writers of the same DICOM JSON may differ in: nothing that a reader can tell."""
    made: dict[str, Any] = {}
    for tag, element in elements.items():
        if tag.endswith("0000") or tag == "00080005":
            continue
        values = element.get("Value")
        if values is not None:
            values = [_plain_value(value) for value in values]
            while values and values[-1] in (None, "", {}):
                values.pop()
        made[tag] = values or element.get("InlineBinary")
    return made


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict) and set(value) <= {"Alphabetic", "Ideographic", "Phonetic"}:
        return {kind: text.rstrip() for kind, text in value.items() if text.strip()}
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, str):
        return value.strip(" \0") or None
    if isinstance(value, float):
        return pytest.approx(value, nan_ok=True)
    return value


def _without_bulk(ours: dict[str, Any], theirs: dict[str, Any], path: str = "") -> None:
    """Take out of both what ours leaves out, after looking that it is large, or pixel data."""
    for tag, element in list(ours.items()):
        other = theirs.get(tag, {})
        if "BulkDataURI" in element:
            assert element["BulkDataURI"] == f"@/{path}{tag}"
            del ours[tag]
            octets = base64.b64decode(theirs.pop(tag, {}).get("InlineBinary", ""))
            assert not octets or len(octets) > OCTETS_INLINE
        elif element["vr"] == "SQ":
            pairs = zip(element.get("Value", []), other.get("Value", []), strict=False)
            for place, (item, other_item) in enumerate(pairs):
                _without_bulk(item, other_item, f"{path}{tag}/{place}/")


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).name)
def test_a_header_is_what_pydicom_reads(path: str) -> None:
    header = _read(path)
    ours, theirs = json.loads(header.header), _expected(path)
    _without_bulk(ours, theirs)
    private_un = [tag for tag, each in ours.items() if each["vr"] == "UN" and int(tag[:4], 16) % 2]
    for tag in private_un:  # pydicom knows some by its own dictionary; we keep the octets
        assert tag in theirs
        del ours[tag], theirs[tag]
    for tag in ours.keys() - theirs.keys():  # pydicom leaves out what does not fit its VR
        assert int(tag, 16) in _damaged(path), tag
        del ours[tag]
    assert _plain(ours) == _plain(theirs)


def _damaged(path: str) -> set[int]:
    """Elements that pydicom cannot write as JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        return {int(tag) for tag in dataset.keys() if _fails(dataset, tag)}  # noqa: SIM118


def _fails(dataset: Dataset, tag: Any) -> bool:
    try:
        dataset[tag].to_json_dict(None, 0)
    except Exception:  # noqa: BLE001 - whatever it is, it is pydicom's
        return True
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).name)
def test_frames_are_where_the_header_says(path: str) -> None:
    header = _read(path)
    octets = Path(path).read_bytes()
    found = [b"".join(octets[at : at + size] for at, size in frame) for frame in header.frames]
    if not found:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        if "badVR" in path:  # its NumberOfFrames is no number
            return
        count = int(dataset.get("NumberOfFrames", 1))
    assert len(found) == header.frame_count == count
    whole = dataset.get("PixelData") or dataset.get("FloatPixelData")
    if dataset["PixelData"].is_undefined_length:
        assert found == list(generate_frames(whole, number_of_frames=count))
    else:
        assert whole.startswith(b"".join(found))
        assert len(whole) - sum(map(len, found)) < 2 + len(found[0]) * (whole[-1:] == b"\0")


def test_all_kinds_are_among_the_files() -> None:
    """The files that the two tests above look at hold what they are about."""
    syntaxes = {_read(path).transfer_syntax for path in FILES}
    assert len(FILES) > 70
    assert {
        "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.5",
    } <= syntaxes  # fmt: skip
    assert max(len(_read(path).frames) for path in FILES) == 30


# Source: PS3.5, annexes H to K, and pydicom's own tests of these files.
NAMES = {
    "chrH31.dcm": {
        "Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう",
    },
    "chrH32.dcm": {
        "Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう",
    },
    "chrI2.dcm": {
        "Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동",
    },
    "chrX1.dcm": {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"},
    "chrX2.dcm": {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
    "chrGreek.dcm": {"Alphabetic": "Διονυσιος"},
    "chrRuss.dcm": {"Alphabetic": "\u041b\u044e\u043ace\u043c\u0431yp\u0433"},
    "chrGerm.dcm": {"Alphabetic": "Äneas^Rüdiger"},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_keep_their_groups_and_letters(name: str) -> None:
    path = Path(pydicom.data.__file__).parent / "charset_files" / name
    header = _read(path)
    assert json.loads(header.header)["00100010"] == {"vr": "PN", "Value": [NAMES[name]]}
    assert header.columns["PatientName"] == "=".join(NAMES[name].values())
    assert json.loads(header.study)["00080005"]["Value"] == ["ISO_IR 192"]


def test_an_ecg_has_its_waveform_inside() -> None:
    header = json.loads(_read(str(get_testdata_file("waveform_ecg.dcm"))).header)
    groups = header["54000100"]["Value"]
    dataset = pydicom.dcmread(str(get_testdata_file("waveform_ecg.dcm")))
    for ours, theirs in zip(groups, dataset.WaveformSequence, strict=True):
        assert base64.b64decode(ours["54001010"]["InlineBinary"]) == theirs.WaveformData


def test_matching_keys_are_in_the_form_the_index_compares() -> None:
    header = _read(str(get_testdata_file("CT_small.dcm")))
    assert header.columns["StudyDate"] == "20040119"
    assert header.columns["StudyTime"] == "072730.000000"
    assert header.columns["PatientName"] == "CompressedSamples^CT1"
    assert header.columns["Modality"] == "CT"
    assert header.patient_id == "1CT1"
    assert "SeriesDescription" not in header.columns


def _small(**more: Any) -> Dataset:
    dataset = pydicom.dcmread(str(get_testdata_file("MR_small.dcm")))
    for name, value in more.items():
        setattr(dataset, name, value)
    return dataset


def test_old_dates_and_short_times() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _small(StudyTime="07", SeriesTime="0728.5", ContentTime="072811.25")
        dataset["StudyDate"]._value = "1997.07.01"
        columns = _of_dataset(dataset).columns
    assert columns["StudyDate"] == "19970701"
    assert columns["StudyTime"] == "070000.000000"
    assert columns["ContentTime"] == "072811.250000"


def test_private_elements_without_a_known_kind_keep_their_octets() -> None:
    dataset = _small()
    block = dataset.private_block(0x0099, "NOBODY KNOWS", create=True)
    block.add_new(1, "UN", b"\1\2\3\4")
    block.add_new(2, "UN", bytes(OCTETS_INLINE + 2))
    header = _of_dataset(dataset)
    found = json.loads(header.header)
    assert found["00990010"] == {"vr": "LO", "Value": ["NOBODY KNOWS"]}
    assert found["00991001"] == {"vr": "UN", "InlineBinary": "AQIDBA=="}
    assert found["00991002"] == {"vr": "UN", "BulkDataURI": "@/00991002"}


def test_specials_of_ieee_are_strings() -> None:
    """PS3.18, F.2.3: JSON has no number for them."""
    dataset = _small()
    dataset.add_new(0x00189073, "FD", [1.5, math.nan, math.inf, -math.inf])
    found = json.loads(_of_dataset(dataset).header)
    assert found["00189073"]["Value"] == [1.5, "NaN", "inf", "-inf"]


def test_what_cannot_be_read_as_its_kind_keeps_its_octets() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _small()
        dataset["InstanceNumber"]._value = "nonsense"
        found = json.loads(_of_dataset(dataset).header)
    assert found["00200013"]["vr"] == "UN"
    assert base64.b64decode(found["00200013"]["InlineBinary"]).strip() == b"nonsense"


def test_large_values_are_left_out_and_found_again() -> None:
    dataset = _small(EncapsulatedDocument=b"%PDF" + bytes(100), TextValue="x" * (TEXT_INLINE + 2))
    dataset["EncapsulatedDocument"].VR = "OB"
    octets = io.BytesIO()
    dataset.save_as(octets)
    octets.seek(0)
    header = read_header(octets)
    found = json.loads(header.header)
    assert found["00420011"] == {"vr": "OB", "BulkDataURI": "@/00420011"}
    assert found["0040A160"]["BulkDataURI"] == "@/0040A160"
    whole = octets.getvalue()
    at, size = header.bulk["00420011"]
    assert whole[at : at + size] == b"%PDF" + bytes(100)
    at, size = header.bulk["0040A160"]
    assert whole[at : at + size] == b"x" * (TEXT_INLINE + 2)


FRAMES = [b"\xff\xd8" + bytes([number]) * (8 + 2 * number) for number in range(4)]


@pytest.mark.parametrize("fragments", [1, 2, 3])
@pytest.mark.parametrize("has_table", [True, False])
def test_frames_of_several_fragments(fragments: int, has_table: bool) -> None:
    dataset = _small(NumberOfFrames=len(FRAMES))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=has_table)
    dataset["PixelData"].is_undefined_length = True
    octets = io.BytesIO()
    dataset.save_as(octets)
    header = read_header(octets)
    whole = octets.getvalue()
    found = [b"".join(whole[at : at + size] for at, size in frame) for frame in header.frames]
    assert found == FRAMES
    assert {len(frame) for frame in header.frames} == {fragments}


def test_frames_by_an_extended_offset_table() -> None:
    dataset = _small(NumberOfFrames=len(FRAMES))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    pixels, offsets, lengths = encapsulate_extended(FRAMES)
    dataset.PixelData = pixels
    dataset["PixelData"].is_undefined_length = True
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    octets = io.BytesIO()
    dataset.save_as(octets)
    header = read_header(octets)
    whole = octets.getvalue()
    found = [b"".join(whole[at : at + size] for at, size in frame) for frame in header.frames]
    assert found == FRAMES


def test_a_deflated_file_has_no_places() -> None:
    header = _read(str(get_testdata_file("image_dfl.dcm")))
    assert header.frame_count == 1
    assert header.frames == ()
    assert header.bulk == {}


@pytest.mark.parametrize("syntax", sorted(DEFLATED))
def test_all_that_is_deflated_is_read(syntax: str) -> None:
    """As gateways take it: 95 and 205 have a reference in the place of their pixels."""
    octets = Path(str(get_testdata_file("image_dfl.dcm"))).read_bytes()
    meta = read_meta(io.BytesIO(octets))
    made = file_head(meta.sop_class, meta.sop_instance, syntax) + octets[meta.place :]
    header = read_header(io.BytesIO(made))
    assert header.transfer_syntax == syntax
    assert (header.sop_uid, header.frames) == (meta.sop_instance, ())


def test_transfer_syntaxes_are_of_the_kind_that_pydicom_says() -> None:
    named = {str(uid) for uid in ALL_TRANSFER_SYNTAXES if "Deflate" in UID(uid).name}
    assert {uid for uid in named if "Frame" not in UID(uid).name} == set(DEFLATED)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_meta.dcm", "preamble"),
        ("rtstruct.dcm", "preamble"),
        ("meta_missing_tsyntax.dcm", "syntax"),
        ("DICOMDIR", "uid"),
        ("zipMR.gz", "preamble"),
    ],
)
def test_what_is_no_instance_is_named(name: str, reason: str) -> None:
    path = get_testdata_file(name)
    with pytest.raises(HeaderError) as caught:
        _read(str(path))
    assert caught.value.reason == reason


def test_a_uid_that_is_a_path_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _small()
        dataset["StudyInstanceUID"]._value = "../../etc/passwd"
        with pytest.raises(HeaderError, match="Study Instance UID is no UID") as caught:
            _of_dataset(dataset)
    assert caught.value.reason == "uid"


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "rtplan_truncated.dcm"])
def test_a_file_of_which_something_is_missing_is_refused(name: str) -> None:
    with pytest.raises(HeaderError) as caught:
        _read(str(get_testdata_file(name)))
    assert caught.value.reason == "cut"


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "image_dfl.dcm", "test-SR.dcm",
     "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "waveform_ecg.dcm", "rtplan.dcm"],
)  # fmt: skip
def test_a_real_file_is_refused_wherever_its_end_is_missing(name: str) -> None:
    """What is cut off between two elements of the first level is whole, as dcmdump says too."""
    octets = Path(str(get_testdata_file(name))).read_bytes()
    for missing in (11, 31, 200, 700):
        with pytest.raises(HeaderError) as caught:
            read_header(io.BytesIO(octets[:-missing]))
        assert caught.value.reason == "cut", missing


def _of_report(*, undefined: bool) -> bytes:
    finding = Dataset()
    finding.ValueType, finding.TextValue = "TEXT", "MALIGNANT MASS"
    finding.ConceptNameCodeSequence = [Dataset()]
    finding.ConceptNameCodeSequence[0].CodeMeaning = "Finding"
    dataset = _small()
    dataset.ContentSequence = [finding, finding]
    dataset["ContentSequence"].is_undefined_length = undefined
    octets = io.BytesIO()
    dataset.save_as(octets)
    return octets.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
def test_lengths_are_looked_at_inside_sequences(undefined: bool) -> None:
    octets = _of_report(undefined=undefined)
    assert b"MALIGNANT" in read_header(io.BytesIO(octets)).header
    at = octets.rindex(b"\x40\x00\x60\xa1UT") + 8
    longer = octets[:at] + b"\xf0" + octets[at + 1 :]
    with pytest.raises(HeaderError, match="longer than what it is in") as caught:
        read_header(io.BytesIO(longer))
    assert caught.value.reason == "cut"
