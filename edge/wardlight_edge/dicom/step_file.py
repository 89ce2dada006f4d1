"""An event of a procedure step as a file for the collector.

A DICOM file (PS3.10): file meta information, then the data set of the N-CREATE or N-SET with the
octets as received. Which event it is stands in Private Information (0002,0102) as ``create 1``,
``set 2``, ...: the number of the event within its step. So two events of equal content are two
files, and the same event is always the same file.

Source  DICOM PS3.10, 7.1
"""

from typing import Final, Literal

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from wardlight_shared.part10 import IMPLEMENTATION_CLASS_UID

STEP_CLASS: Final = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step SOP Class."""


def step_file(
    sop_instance: str,
    transfer_syntax: str,
    event: Literal["create", "set"],
    number: int,
    data_set: bytes,
) -> bytes:
    """The file of one event; ``number`` counts the events of a step from 1."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(STEP_CLASS)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.PrivateInformationCreatorUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.PrivateInformation = _even(f"{event} {number}".encode("ascii"))
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return bytes(128) + b"DICM" + buffer.getvalue() + data_set


def _even(octets: bytes) -> bytes:
    return octets + b"\0" * (len(octets) % 2)
