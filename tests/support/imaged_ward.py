"""A ward with images: a CT stack whose every pixel is known, and real objects of other kinds.

The CT and the PDF are of Anna by her number; the others of nobody in the register.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EncapsulatedPDFStorage

from support.dicom_files import bundled, cut_off, dataset_of, image, octets_of
from support.image_stock import image_stock
from support.served_ward import Ward, open_ward

CT_STUDY, CT_SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
PDF_STUDY = "1.2.826.0.1.3680043.8.498.3"
US = dataset_of(bundled("examples_ybr_color.dcm"))
ECG = dataset_of(bundled("waveform_ecg.dcm"))
SR = dataset_of(bundled("reportsi.dcm"))
DAMAGED = dataset_of(cut_off("JPGExtended.dcm"))  # its image ends in the middle
SIDE, SPACING_MM, IMAGES = 96, 0.5, 4
OWN_WINDOWS: dict[int, dict[str, Any]] = {
    3: {"WindowCenter": [10, -100], "WindowWidth": [500, 800],
        "WindowCenterWidthExplanation": ["FIRST", "SECOND"]},
}  # fmt: skip
"""What images of the CT bring that the others do not: one has two windows of its own."""


def ct_values(number: int) -> NDArray[np.int16]:
    """Hounsfield units of image ``number``: a ramp of columns, steps of rows, one more each."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    values: NDArray[np.int16] = (columns * 10 - 400 + rows // 12 * 3 + number).astype(np.int16)
    return values


def ct_image(number: int, **more: Any) -> Dataset:
    """Image ``number`` of the stack, from 1; ``more`` sets attributes by keyword."""
    stack: dict[str, Any] = dict(
        side=SIDE, study_uid=CT_STUDY, series_uid=CT_SERIES, SOPInstanceUID=f"{CT_SERIES}.{number}",
        PatientName="Almeida^Anna", PatientID="A-1", PatientBirthDate="19500203",
        StudyDescription="CT of the chest", SeriesDescription="Thin", StudyDate="20260131",
        InstanceNumber=number, PixelSpacing=[SPACING_MM, SPACING_MM], WindowCenter=40,
        WindowWidth=400, RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU",
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0], SliceLocation=number * 2.5,
        PixelData=(ct_values(number).astype(np.int32) + 1024).astype("<u2").tobytes(),
    )  # fmt: skip
    return image(**stack | more)


def pdf_report() -> Dataset:
    """An encapsulated PDF (PS3.3, A.45.1) of one empty page."""
    made = image(
        study_uid=PDF_STUDY, SOPClassUID=UID(EncapsulatedPDFStorage), Modality="DOC",
        PatientName="Almeida^Anna", PatientID="A-1", DocumentTitle="Spirometry",
        MIMETypeOfEncapsulatedDocument="application/pdf", ConceptNameCodeSequence=Sequence(),
        StudyDescription="Lung function",
    )  # fmt: skip
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(made, keyword)
    for keyword in ("SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation"):
        delattr(made, keyword)
    made.EncapsulatedDocument = _PDF + b"\0" * (len(_PDF) % 2)
    made.EncapsulatedDocumentLength = len(_PDF)
    return made


_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""


@asynccontextmanager
async def imaged_ward(dsn: str, folder: Path) -> AsyncIterator[Ward]:
    """The ward on a database made from WARD, with its images stored."""
    ward = await open_ward(dsn, folder)
    stack = [ct_image(number, **OWN_WINDOWS.get(number, {})) for number in range(1, IMAGES + 1)]
    async with image_stock(ward.store, ward.settings) as stock:
        for dataset in [*stack, pdf_report()]:
            await stock.add(octets_of(dataset))
        for name in ("examples_ybr_color", "waveform_ecg", "reportsi"):
            await stock.add(bundled(f"{name}.dcm"))
        await stock.add(cut_off("JPGExtended.dcm"))
    yield ward
    await ward.store.close()
