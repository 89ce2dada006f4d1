"""The head of a stored file, read by pydicom."""

from io import BytesIO

from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from wardlight_shared.part10 import IMPLEMENTATION_CLASS_UID, file_head


def test_pydicom_reads_the_head() -> None:
    head = file_head(CTImageStorage, "1.2.3", ExplicitVRLittleEndian)
    meta = dcmread(BytesIO(head)).file_meta
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.FileMetaInformationGroupLength == len(head) - 144
    assert meta.MediaStorageSOPClassUID == CTImageStorage
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert len(meta) == 6


def test_the_head_never_changes() -> None:
    """Equal data sets make equal files: a change here would store every image a second time."""
    head = file_head("1.2.840.10008.5.1.4.1.1.7", "1.2.3", "1.2.840.10008.1.2")
    assert head[132:].hex() == (
        "02000000554c04008c000000"
        "020001004f42000002000000" "0001"
        "0200020055491a00" + b"1.2.840.10008.5.1.4.1.1.7\0".hex() +
        "0200030055490600" + b"1.2.3\0".hex() +
        "0200100055491200" + b"1.2.840.10008.1.2\0".hex() +
        "0200120055492c00" + b"2.25.130057604473801312902760480730639551252".hex()
    )  # fmt: skip
