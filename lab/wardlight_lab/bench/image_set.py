"""Images for measurements: many small studies and a large one, the same bytes in each run.

CT images in Explicit VR Little Endian with noise over a gradient, so that pictures of them have the
size that pictures of patients have.
"""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SMALL_SIDE: Final = 256  # 128 KiB
LARGE_SIDE: Final = 512  # 512 KiB
_ROOT: Final = "1.2.826.0.1.3680043.10.1511"  # under the arc that Medical Connections gives away
_PHASES: Final = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an instance is, below the service's root."""

    study: str
    series: str
    sop: str
    patient: str

    @property
    def path(self) -> str:
        """The instance's address."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.sop}"


@dataclass(frozen=True, slots=True)
class ImageSet:
    """``studies`` of ``images`` small images, and one of ``slices`` large ones."""

    studies: int
    images: int
    slices: int

    def small(self) -> Iterator[list[tuple[Stored, bytes]]]:
        """Each small study's files."""
        pixels = _noise(SMALL_SIDE)
        for study in range(1, self.studies + 1):
            yield [_file(study, number, pixels, SMALL_SIDE) for number in range(1, self.images + 1)]

    def large(self) -> Iterator[tuple[Stored, bytes]]:
        """Files of the large study."""
        pixels = _noise(LARGE_SIDE)
        for number in range(1, self.slices + 1):
            yield _file(self.studies + 1, number, pixels, LARGE_SIDE)


def _noise(side: int) -> list[bytes]:
    random_ = np.random.default_rng(7)
    slope = np.linspace(0, 1500, side * side).reshape(side, side)
    return [
        (slope + random_.normal(1000, 40, (side, side)) + 20 * phase).astype("<i2").tobytes()
        for phase in range(_PHASES)
    ]


def _file(study: int, number: int, pixels: list[bytes], side: int) -> tuple[Stored, bytes]:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.Modality = CTImageStorage, "CT"
    made.StudyInstanceUID = f"{_ROOT}.1.{study}"
    made.SeriesInstanceUID = f"{_ROOT}.2.{study}"
    made.SOPInstanceUID = f"{_ROOT}.3.{study}.{number}"
    made.PatientID, made.PatientName = f"BENCH-{study:05}", f"Bench{study:05}^Patient"
    made.PatientBirthDate, made.PatientSex = "19500203", "O"
    made.StudyDate = f"2026{1 + study % 12:02}{1 + study % 28:02}"
    made.StudyTime, made.StudyID = f"{study % 24:02}1500", str(study)
    made.AccessionNumber, made.ReferringPhysicianName = f"ACC{study:06}", "Referrer^A"
    made.StudyDescription, made.SeriesDescription = "Bench study", "Bench series"
    made.SeriesNumber, made.InstanceNumber = 1, number
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.WindowCenter, made.WindowWidth = 700, 2000
    made.PixelSpacing, made.ImagePositionPatient = [0.7, 0.7], [0, 0, number]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shift = 2 * random.Random(study * 100_003 + number).randrange(side * side // 2)
    frame = pixels[number % _PHASES]
    made.PixelData = frame[shift:] + frame[:shift]
    file = io.BytesIO()
    dcmwrite(file, made, enforce_file_format=True)
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    study_uid, series_uid, sop_uid = map(str, uids)
    return Stored(study_uid, series_uid, sop_uid, f"BENCH-{study:05}"), file.getvalue()
