"""Studies of invented patients: real images that pydicom carries, and a made CT and report.

The pixels, waveforms and structured reports are those of pydicom's test files, which are free to
use; names, numbers and UIDs are the demo's. Nothing is random: the same person, day and name give
the same octets at every start, so that what is sent again is known everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Final
from uuid import UUID, uuid5

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
)

_NAMESPACE: Final = UUID("3d2b7a1e-6e0c-4f6e-8d0f-0f0a1c9b7e55")
_CT_SLICES: Final = 24
_CT_ROWS: Final = 256
_CT_CENTRE: Final = 40
_CT_WIDTH: Final = 400


@dataclass(frozen=True, slots=True)
class Whose:
    """Patient module of a study. ``name`` is a PN (family^given), ``born`` a DA."""

    patient_id: str
    name: str
    born: str
    sex: str


@dataclass(frozen=True, slots=True)
class Study:
    """One study before its objects: ``source`` is a file of pydicom, or "ct" or "pdf"."""

    key: str
    description: str
    sources: tuple[str, ...]
    hours_before: int


WARD_STUDIES: Final = {
    "ward-1": (Study("ecg-1", "12-lead ECG", ("waveform_ecg.dcm",), 3),),
    "ward-2": (
        Study("us-2", "Echocardiography", ("examples_ybr_color.dcm", "examples_palette.dcm"), 26),
    ),
    "ward-3": (Study("ct-3", "CT of the chest", ("ct",), 30),),
    "ward-4": (
        Study("mr-4", "MR of the head", ("examples_overlay.dcm", "reportsi.dcm"), 52),
        Study("pdf-4", "Sleep report", ("pdf",), 8),
    ),
}
"""Patient label -> studies."""


def objects_of(study: Study, whose: Whose, day: datetime) -> Iterator[Dataset]:
    """The data sets of a study, ready to be sent; ``day`` is when the demo began."""
    taken = day - timedelta(hours=study.hours_before)
    for number, source in enumerate(study.sources, start=1):
        for instance, made in enumerate(_made(source), start=1):
            _identify(made, study, whose, taken, number, instance)
            yield made


def _made(source: str) -> Iterator[Dataset]:
    if source == "ct":
        yield from _ct()
    elif source == "pdf":
        yield _pdf()
    else:
        path = get_testdata_file(source, download=False)
        yield dcmread(str(path))


def _identify(
    made: Dataset, study: Study, whose: Whose, taken: datetime, series: int, instance: int
) -> None:
    """Give an object the demo's patient, study and UIDs."""
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID = whose.name, whose.patient_id
    made.PatientBirthDate, made.PatientSex = whose.born, whose.sex
    made.StudyInstanceUID = _uid(study.key)
    made.SeriesInstanceUID = _uid(study.key, series)
    made.SOPInstanceUID = _uid(study.key, series, instance)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.StudyDescription, made.StudyID = study.description, study.key.upper()
    made.AccessionNumber = f"A-{study.key.upper()}"
    made.StudyDate = made.SeriesDate = made.ContentDate = f"{taken:%Y%m%d}"
    made.StudyTime = made.SeriesTime = made.ContentTime = f"{taken:%H%M%S}"
    made.SeriesNumber, made.InstanceNumber = series, instance


def _uid(*parts: object) -> str:
    """A UID made of a UUID (PS3.5, B.2) that follows from ``parts``."""
    return f"2.25.{uuid5(_NAMESPACE, '/'.join(map(str, parts))).int}"


def _ct() -> Iterator[Dataset]:
    """A phantom of a chest: body, two lungs, spine, and a nodule that grows and shrinks."""
    rows, columns = np.mgrid[0:_CT_ROWS, 0:_CT_ROWS].astype(np.float32) / _CT_ROWS - 0.5
    for index in range(_CT_SLICES):
        away = (index - _CT_SLICES / 2) / (_CT_SLICES / 2)
        lung = 0.16 * np.sqrt(max(0.05, 1 - 0.7 * away * away))
        units = np.full((_CT_ROWS, _CT_ROWS), -1000, np.int16)
        units[(rows / 0.36) ** 2 + (columns / 0.46) ** 2 < 1] = 40
        for side in (-0.2, 0.2):
            units[(rows / (lung * 1.4)) ** 2 + ((columns - side) / lung) ** 2 < 1] = -820
        units[(rows - 0.24) ** 2 + columns**2 < 0.05**2] = 420
        nodule = 0.03 * max(0.0, 1 - abs(away) * 2)
        units[(rows + 0.05) ** 2 + (columns - 0.2) ** 2 < nodule**2] = 30
        yield _ct_slice(units, index)


def _ct_slice(units: "np.ndarray[tuple[int, ...], np.dtype[np.int16]]", index: int) -> Dataset:
    made = _empty(CTImageStorage, "CT")
    made.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    made.Manufacturer = "Wardlight phantom"
    made.SeriesDescription = "Phantom, 5 mm"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = units.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelSpacing, made.SliceThickness = ["1.5", "1.5"], "5"
    made.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    made.ImagePositionPatient = ["-192", "-192", str(index * 5)]
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "0", "1", "HU"
    made.WindowCenter, made.WindowWidth = str(_CT_CENTRE), str(_CT_WIDTH)
    made.FrameOfReferenceUID = _uid("frame of reference")
    made.PixelData = units.tobytes()
    return made


def _pdf() -> Dataset:
    made = _empty(EncapsulatedPDFStorage, "DOC")
    made.ConversionType, made.MIMETypeOfEncapsulatedDocument = "WSD", "application/pdf"
    made.DocumentTitle, made.SeriesDescription = "Sleep report", "Report"
    made.BurnedInAnnotation = "NO"
    octets = pdf_page(["Sleep report", "", "Invented for a demonstration.", "AHI 6.2 per hour"])
    made.EncapsulatedDocument = octets + b"\0" * (len(octets) % 2)
    made.EncapsulatedDocumentLength = len(octets)
    return made


def _empty(sop_class: UID, modality: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = sop_class
    made.Modality = modality
    return made


def pdf_page(lines: list[str]) -> bytes:
    """A PDF of one page with lines of text (ISO 32000-1; ASCII without brackets)."""
    text = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F1 18 Tf 26 TL 72 740 Td {text} ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    out, places = BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n{body}\nendobj\n".encode("ascii"))
    table = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode("ascii"))
    for place in places:
        out.write(f"{place:010} 00000 n \n".encode("ascii"))
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
    out.write(trailer.encode("ascii"))
    return out.getvalue()
