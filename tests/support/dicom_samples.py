"""Whole DICOM files: those that come with pydicom, and small ones made from attributes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


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
