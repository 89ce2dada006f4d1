"""DICOM files for tests: pydicom's own, and small ones made here."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
from pydicom import config
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Files that break the rules are made here too, whichever part of the product was imported before.
config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE

BOUNDARY = "wl-test-7c1e"
STOW_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'

FOLDER = Path(pydicom.data.__file__).parent / "test_files"


def bundled(name: str) -> bytes:
    """A file that comes with pydicom."""
    path = get_testdata_file(name)
    assert isinstance(path, str), name
    return Path(path).read_bytes()


def dataset_of(octets: bytes) -> Dataset:
    """A file, read."""
    return pydicom.dcmread(io.BytesIO(octets), force=True)


def octets_of(dataset: Dataset) -> bytes:
    """A data set as a file."""
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def image(*, side: int = 16, study_uid: str = "", series_uid: str = "", **more: Any) -> Dataset:
    """A small CT image in Explicit VR Little Endian; ``more`` sets attributes by keyword."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID = study_uid or generate_uid()
    made.SeriesInstanceUID = series_uid or generate_uid()
    made.PatientID, made.PatientName, made.Modality = "T-1", "Testperson^One", "CT"
    made.StudyDate, made.StudyTime, made.AccessionNumber = "20260131", "101500", "ACC-1"
    made.StudyDescription, made.SeriesNumber, made.InstanceNumber = "Test study", 1, 1
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    values = np.arange(side * side, dtype="<u2").reshape(side, side)
    made.PixelData = values.tobytes()
    for keyword, value in more.items():
        setattr(made, keyword, value)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    return made


def stow_body(files: Iterable[bytes], content_type: str = "application/dicom") -> bytes:
    """Files as parts of a multipart body (RFC 2046, 5.1)."""
    parts = (
        f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode() + file + b"\r\n"
        for file in files
    )
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def parts_of(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Headers and contents of a multipart answer, cut at its boundary."""
    boundary = content_type.partition("boundary=")[2].split(";")[0].strip('"').encode()
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert pieces[-1].startswith(b"--"), "the last boundary"
    found = []
    for piece in pieces[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").strip().split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        found.append((headers, content))
    return found


def renamed(octets: bytes, **more: Any) -> bytes:
    """The same image as an instance, series and study of its own."""
    dataset = dataset_of(octets)
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        setattr(dataset, keyword, generate_uid())
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return octets_of(dataset)


def ct_file(
    sop_uid: str = "1.2.3.1.1", *, study: str = "1.2.3", series: str = "1.2.3.1", **more: Any
) -> bytes:
    """A CT image of 16 x 16; ``more`` are attributes by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = sop_uid  # type: ignore[assignment]
    dataset = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": sop_uid, "StudyInstanceUID": study,
        "SeriesInstanceUID": series, "Modality": "CT", "PatientName": "Testperson^One",
        "PatientID": "P1", "StudyDate": "20250102", "StudyTime": "101112", "Rows": 16,
        "Columns": 16, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
        "PixelData": bytes(512), **more,
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = meta
    octets = io.BytesIO()
    dataset.save_as(octets, enforce_file_format=True)
    return octets.getvalue()


def sha256(octets: bytes) -> bytes:
    """The hash of a file."""
    return hashlib.sha256(octets).digest()


def cut_off(name: str) -> bytes:
    """A bundled file of one encapsulated frame, whose second half never came."""
    dataset = dataset_of(bundled(name))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    return octets_of(dataset)
