"""Reads DICOM files as they are found in the field.

Errors  Refusal: no DICOM file
"""

import logging
import warnings

import pydicom
from pydicom import config
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.imaging.recoding import recode

# What is odd in a file is no news here: it was taken as it is, and its text may be of a patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.simplefilter("ignore")
config.settings.reading_validation_mode = config.IGNORE


def read(file: str, *, before_pixels: bool = False) -> FileDataset:
    """The data set of a file; one in big endian as if it had been Explicit VR Little Endian."""
    try:
        found = pydicom.dcmread(file, force=True, stop_before_pixels=before_pixels)
    except (OSError, EOFError) as error:
        raise Refusal("The object cannot be read.") from error
    meta = getattr(found, "file_meta", None)
    if meta is not None and meta.get("TransferSyntaxUID") == ExplicitVRBigEndian:
        recode(found, is_implicit=False)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return found
