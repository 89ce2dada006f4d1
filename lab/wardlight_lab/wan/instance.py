"""Instances of a wanted size that nothing can make smaller, for measurements of the way up."""

import io
import random
from typing import Final

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

_ROOT: Final = "1.2.826.0.1.3680043.10.1511.77"  # under the arc that Medical Connections gives away


def instance_file(octets: int, number: int, run: int = 1) -> tuple[str, bytes]:
    """SOP Instance UID and a DICOM file of about this size; the same each time."""
    side = max(2, int((octets / 2) ** 0.5))
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.Modality = DigitalXRayImageStorageForPresentation, "DX"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"{_ROOT}.1.{run}", f"{_ROOT}.2.{run}"
    made.SOPInstanceUID = f"{_ROOT}.3.{run}.{number}"
    made.PatientID, made.PatientName = "LAB-WAN", "Narrow^Link"
    made.InstanceNumber = number
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = 0
    made.PixelData = random.Random(number).randbytes(side * side * 2)
    file = io.BytesIO()
    dcmwrite(file, made, enforce_file_format=True)
    return str(made.SOPInstanceUID), file.getvalue()
