"""What the viewer's modules make of DICOM: lengths, letters, rates, names, parts, waveforms."""

import base64
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from support.dicom_files import bundled, dataset_of
from support.viewer_modules import in_node


def _json(**attributes: Any) -> dict[str, Any]:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made.to_json_dict()


def _region(x0: int, x1: int, units: tuple[int, int], deltas: tuple[float, float]) -> Dataset:
    made = Dataset()
    made.RegionLocationMinX0, made.RegionLocationMinY0 = x0, 0
    made.RegionLocationMaxX1, made.RegionLocationMaxY1 = x1, 500
    made.PhysicalUnitsXDirection, made.PhysicalUnitsYDirection = units
    made.PhysicalDeltaX, made.PhysicalDeltaY = deltas
    return made


_REGIONS = [
    _region(0, 99, (3, 3), (0.02, 0.02)),
    _region(100, 199, (4, 7), (0.004, -1.5)),
    _region(190, 400, (3, 3), (0.5, 0.5)),
]

_CT, _DX, _CR = {"Modality": "CT"}, {"Modality": "DX"}, {"Modality": "CR"}
_US = {"SequenceOfUltrasoundRegions": _REGIONS, "Modality": "US"}
_TENTH = [0.1, 0.1]
_100 = ((0, 0), (100, 0))

LENGTHS: list[tuple[str, dict[str, Any], tuple[tuple[int, int], tuple[int, int]], str]] = [
    ("between columns", {**_CT, "PixelSpacing": [2, 0.5]}, ((0, 0), (30, 0)), "15.0 mm"),
    ("between rows", {**_CT, "PixelSpacing": [2, 0.5]}, ((0, 0), (0, 30)), "60.0 mm"),
    ("slant", {**_CT, "PixelSpacing": [0.3, 0.4]}, ((10, 10), (20, 20)), "5.00 mm"),
    ("nothing known", _CT, ((0, 0), (3, 4)), "5.0 px"),
    ("a spacing of nothing", {**_CT, "PixelSpacing": [0, 0]}, ((0, 0), (3, 4)), "5.0 px"),
    ("detector", {**_DX, "ImagerPixelSpacing": _TENTH}, _100, "10.0 mm at the detector"),
    ("detector said twice", {**_DX, "ImagerPixelSpacing": _TENTH, "PixelSpacing": _TENTH}, _100,
     "10.0 mm at the detector"),
    ("calibrated", {**_CR, "ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": _TENTH}, _100,
     "10.0 mm calibrated"),
    ("by an object", {**_CR, "PixelSpacing": _TENTH, "PixelSpacingCalibrationType": "FIDUCIAL"},
     _100, "10.0 mm calibrated by an object of known size"),
    ("unsaid", {**_CR, "PixelSpacing": _TENTH}, _100, "10.0 mm not known whether calibrated"),
    ("scout", {**_CT, "PixelSpacing": _TENTH, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
     _100, "10.0 mm not known whether calibrated"),
    ("MR localizer", {"Modality": "MR", "PixelSpacing": _TENTH,
                      "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, _100, "10.0 mm"),
    ("film", {"NominalScannedPixelSpacing": _TENTH}, _100, "10.0 mm on the scanned film"),
    ("in a region", _US, ((10, 10), (60, 10)), "10.0 mm"),
    ("across regions", _US, ((10, 10), (110, 10)), "100.0 px"),
    ("Doppler", _US, ((110, 10), (160, 30)), "0.200 s, 30.0 cm/s"),
    ("two regions over each other", _US, ((192, 10), (198, 10)), "6.0 px"),
    ("outside, whatever else", {**_US, "PixelSpacing": [1, 1]}, ((500, 10), (510, 10)), "10.0 px"),
]  # fmt: skip


def test_lengths_are_told_as_the_object_allows() -> None:
    """PS3.3, 10.7.1.3 and C.8.5.5; a millimetre only where one is known."""
    cases = [[_json(**attributes), *ends] for _, attributes, ends, _ in LENGTHS]
    body = "return cases.map(([dataset, from, to]) => lengthText(dataset, from, to))"
    found = in_node("spacing", body, cases=cases)
    named = dict(zip([case[0] for case in LENGTHS], found, strict=True))
    assert named == {case[0]: case[3] for case in LENGTHS}


def test_an_object_says_itself_whose_it_is_and_of_when() -> None:
    """An ECG of another day and person in a study is not of the study's heading."""
    ecg = {
        "PatientName": "SMITH^JOHN", "PatientID": "WARD-1", "PatientSex": "M",
        "StudyDate": "20261120", "ContentDate": "20261120",
    }  # fmt: skip
    cases = [
        _json(**ecg, AcquisitionDateTime="20200101030405"),
        _json(**ecg, ContentTime="101000", TimezoneOffsetFromUTC="+0500"),
        _json(**ecg, AcquisitionDateTime="20200101030405+0100"),
        _json(PatientBirthDate="19500203", StudyDate="20261120"), _json(),
    ]  # fmt: skip
    body = "return cases.map((dataset) => [...patientLines(dataset), whenLine(dataset)])"
    assert in_node("whose", body, cases=cases) == [
        ["SMITH, JOHN", "ID WARD-1", "M", "recorded 2020-01-01 03:04:05 device time"],
        ["SMITH, JOHN", "ID WARD-1", "M", "of 2026-11-20 10:10 UTC+05:00"],
        ["SMITH, JOHN", "ID WARD-1", "M", "recorded 2020-01-01 03:04:05 (UTC+0100)"],
        ["no name in the object", "ID none", "born 1950-02-03", "study of 2026-11-20"],
        ["no name in the object", "ID none", "no date in the object"],
    ]


def test_a_date_time_is_told_as_far_as_it_goes() -> None:
    """PS3.5, 6.2: DT may end after any of its parts, and may have a zone."""
    told = {
        "20001206120000": "2000-12-06 12:00:00",
        "200012061200": "2000-12-06 12:00",
        "20001206": "2000-12-06",
        "20001206120000.123456-0500": "2000-12-06 12:00:00 (UTC-0500)",
        "2000": "2000",
        "yesterday": "yesterday",
    }
    found = in_node("dicom", "return cases.map(dateTimeText)", cases=list(told))
    assert dict(zip(told, found, strict=True)) == told


def test_letters_say_where_the_patient_s_sides_are() -> None:
    """Axial, coronal, sagittal, tilted (PS3.3, C.7.6.2.1.1), in letters, and saying nothing."""
    cases = [
        _json(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        _json(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        _json(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
        _json(ImageOrientationPatient=[0.9, 0.436, 0, -0.436, 0.9, 0]),
        _json(PatientOrientation=["L", "F"]),
        _json(),
        _json(PatientOrientation=["L", "F"], AnatomicalOrientationType="QUADRUPED"),
    ]
    found = in_node(
        "orientation",
        "return cases.map(edgeLetters).map(({ left, right, top, bottom }) => "
        '[left, right, top, bottom].join(","))',
        cases=cases,
    )
    assert found == ["R,L,A,P", "R,L,H,F", "A,P,H,F", "RA,LP,AL,PR", "R,L,H,F", ",,,", ",,,"]


def test_frames_are_played_as_fast_as_the_object_says() -> None:
    cases = [
        _json(FrameTime=40), _json(FrameTimeVector=[0, 50, 50, 100]),
        _json(CineRate=12), _json(RecommendedDisplayFrameRate=8, CineRate=12), _json(),
    ]  # fmt: skip
    found = in_node("cine", "return cases.map((one) => rateOf(one).fps)", cases=cases)
    assert found == [25, 15, 12, 8, 15]


def test_loss_is_said_with_its_ratio() -> None:
    cases = [
        _json(LossyImageCompression="01", LossyImageCompressionRatio=[12]),
        _json(LossyImageCompression="01", LossyImageCompressionRatio=[2.5, 2]),
        _json(LossyImageCompression="01"),
        _json(LossyImageCompression="00"),
        _json(),
    ]
    found = in_node("dicom", "return cases.map(lossyText)", cases=cases)
    assert found == ["lossy 12:1", "lossy 2.5:1, then 2:1", "lossy, ratio unknown", "", ""]


def test_a_report_says_why_there_is_no_value_and_what_it_refers_to() -> None:
    def named(name: str, **more: Any) -> Dataset:
        made, code = Dataset(), Dataset()
        code.CodeMeaning = name
        made.ConceptNameCodeSequence = [code]
        for keyword, value in more.items():
            setattr(made, keyword, value)
        return made

    why, measured, unit, by_reference = Dataset(), Dataset(), Dataset(), Dataset()
    why.CodeMeaning, unit.CodeValue = "Measurement not attempted", "%"
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "55", [unit]
    by_reference.RelationshipType = "INFERRED FROM"
    by_reference.ReferencedContentItemIdentifier = [1, 2]
    beyond = Dataset()
    beyond.ReferencedContentItemIdentifier = [1, 9, 1]
    values = [
        named("LV", MeasuredValueSequence=[], NumericValueQualifierCodeSequence=[why]),
        named("EF", MeasuredValueSequence=[measured]),
        named("RV", MeasuredValueSequence=[measured], NumericValueQualifierCodeSequence=[why]),
        named("none", MeasuredValueSequence=[]),
    ]
    root = named("Report", ContentSequence=[*values, by_reference])
    body = "return [items.map(measured), references.map((one) => referred(one, root))]"
    assert in_node(
        "report", body, items=[each.to_json_dict() for each in values], root=root.to_json_dict(),
        references=[each.to_json_dict() for each in (by_reference, beyond, root)],
    ) == [
        ["no value (Measurement not attempted)", "55 %", "55 % (Measurement not attempted)",
         "no value"],
        ["inferred from: EF (item 1.2)", "refers to: item 1.9.1 of this report", ""],
    ]  # fmt: skip


def test_a_report_says_that_a_later_one_follows_it() -> None:
    instance, series, document = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPInstanceUID, series.ReferencedSOPSequence = "1.1", [instance]
    document.ReferencedSeriesSequence = [series]
    old = _json(SOPInstanceUID="1.1")
    new = _json(
        SOPInstanceUID="1.2", ContentDate="20261120", ContentTime="101000",
        PredecessorDocumentsSequence=[document], CompletionFlag="PARTIAL",
    )  # fmt: skip
    body = "return [chained(old, [later]), chained(later, []), chained(old, [])]"
    newer, older, none = in_node("report", body, old=old, later=new)
    assert [(each["sop"], each["isOld"]) for each in newer] == [("1.2", True)]
    assert "A later report (2026-11-20 10:10 device time, preliminary)" in newer[0]["words"]
    assert [(each["sop"], each["isOld"]) for each in older] == [("1.1", False)]
    assert none == []


def test_a_report_says_how_far_it_has_come() -> None:
    """PS3.3, C.17.2: what is not complete may not pass for the last word."""
    cases = [
        _json(CompletionFlag="PARTIAL", VerificationFlag="UNVERIFIED"),
        _json(CompletionFlag="COMPLETE", VerificationFlag="VERIFIED", PreliminaryFlag="FINAL"),
        _json(CompletionFlag="COMPLETE", PreliminaryFlag="PRELIMINARY"),
        _json(),
    ]
    found = in_node("report", "return cases.map(standing)", cases=cases)
    assert [(each["words"], each["isPreliminary"]) for each in found] == [
        ("Not complete, not verified", True), ("Complete, verified", False),
        ("Preliminary report, complete", True), ("", False),
    ]  # fmt: skip


def test_files_are_called_as_the_document_is() -> None:
    titles = ["Spirometry", "Lung: \u202e../..\\x?", " ", "Ärzte/Brief", "x" * 99]
    body = 'return titles.map((title) => fileName(title, "application/pdf"))'
    found = in_node("documents", body, titles=titles)
    assert found == [
        "Spirometry.pdf", "Lung x.pdf", "document.pdf", "Ärzte Brief.pdf", f"{'x' * 60}.pdf",
    ]  # fmt: skip


def test_names_and_frames_of_enhanced_objects() -> None:
    measures, plane, shared, own = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.5]
    plane.ImagePositionPatient = [0, 0, 7]
    shared.PixelMeasuresSequence, own.PlanePositionSequence = [measures], [plane]
    enhanced = _json(
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=[Dataset(), own]
    )
    found = in_node(
        "dicom",
        "const second = frameDataset(enhanced, 2);"
        'return [numbers(second, "PixelSpacing"), numbers(second, "ImagePositionPatient"), '
        'numbers(frameDataset(enhanced, 1), "ImagePositionPatient"), names.map(personName)]',
        enhanced=enhanced,
        names=[
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"},
            {"Alphabetic": "Adams^John^Robert^Rev.^B.A."},
            None,
        ],
    )
    assert found == [
        [0.5, 0.5], [0, 0, 7], [],
        ["Yamada, Tarou = 山田, 太郎", "Adams, Rev. John Robert B.A.", ""],
    ]  # fmt: skip


def test_parts_are_cut_at_their_boundary() -> None:
    """RFC 2046, 5.1: content may hold what looks like a boundary."""
    content = bytes(range(256)) + b"\r\n--other\r\n"
    body = b"--b1\r\nContent-Type: image/jpeg\r\nX: y\r\n\r\n" + content + b"\r\n--b1--\r\n"
    found = in_node(
        "web",
        "const octets = Uint8Array.from(atob(sent), (letter) => letter.charCodeAt(0));"
        "const told = (type, some) => { try { const part = firstPart(some, type);"
        "  return [part.type, [...part.octets]]; } catch (error) { return error.message; } };"
        'return [told(\'multipart/related; type="a/b"; boundary="b1"\', octets),'
        "  told('multipart/related; boundary=b1', octets),"
        "  told('multipart/related; boundary=b1', octets.subarray(0, 200)),"
        "  told('image/png', octets.subarray(0, 2))]",
        sent=base64.b64encode(body).decode(),
    )
    assert found[0] == found[1] == ["image/jpeg", list(content)]
    assert "cut off" in found[2]
    assert found[3] == ["image/png", [45, 45]]


def test_waveforms_are_calibrated_and_named() -> None:
    """Against pydicom's reading of its real 12-lead ECG, which is in µV."""
    dataset = dataset_of(bundled("waveform_ecg.dcm"))
    found = in_node(
        "waveform",
        "const group = dataset['54000100'].Value[0];"
        "const text = atob(group['54001010'].InlineBinary);"
        "const octets = Uint8Array.from(text, (letter) => letter.charCodeAt(0));"
        "const read = readGroup(group, octets);"
        "return { names: read.channels.map((one) => one.name), rate: read.rate,"
        "  seconds: read.seconds,"
        "  units: [...new Set(read.channels.map((one) => one.unit))],"
        "  samples: read.channels.map((one) => [...one.samples].filter((_, i) => i % 97 === 0)),"
        "  short: readGroup(group, octets.subarray(0, 99)) }",
        dataset=dataset.to_json_dict(),
    )
    assert found["names"] == [
        "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
    ]  # fmt: skip
    assert (found["rate"], found["seconds"], found["units"]) == (1000, 10, ["mV"])
    expected = dataset.waveform_array(0)[::97].T / 1000
    assert np.allclose(np.array(found["samples"]), expected, atol=1e-9)
    assert found["short"] is None


def test_traces_keep_spikes_and_leave_gaps() -> None:
    """A spike of one sample in 10,000 is in the path; where the recorder had none, it is cut."""
    found = in_node(
        "ecg",
        "const flat = new Array(10000).fill(0); flat[5003] = 2;"
        "const gap = new Array(100).fill(0); gap[50] = NaN;"
        "return [tracePath(flat, 1000, 10), tracePath(gap, 25, 10), tracePath(gap, 1000, 10)]",
    )
    assert "L125.07 -20.000" in found[0] or "L125.08 -20.000" in found[0]
    assert len(found[0]) < 40_000
    assert [path.count("M") for path in found] == [1, 2, 2]
