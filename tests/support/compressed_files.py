"""Images of every compressed transfer syntax: pydicom's own, and what dcmtk's encoders make."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from support.dicom_files import bundled, dataset_of, image, octets_of
from support.peers import require_peer
from wardlight_cloud.imaging import decoding

_FILES = (
    "693_J2KI.dcm", "GDCMJ2K_TextGBR.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG-lossy.dcm",
    "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm", "JPGExtended.dcm",
    "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_jpeg_app14_dcmd.dcm", "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_32bit.dcm",
    "SC_rgb_small_odd_jpeg.dcm", "examples_jpeg2k.dcm", "examples_ybr_color.dcm",
    "rtdose_rle.dcm",
)  # fmt: skip
_ENCODERS = (
    ("dcmcjpeg", "+e1"), ("dcmcjpeg", "+el"), ("dcmcjpeg", "+el", "+sv", "6"),
    ("dcmcjpeg", "+ee"), ("dcmcjpls", "+el"), ("dcmcjpls", "+en"), ("dcmcrle",),
)  # fmt: skip


def compressed_files(folder: Path) -> dict[str, bytes]:
    """All of them, each a study of its own, by what it is."""
    found = {name: _as_study_of_its_own(bundled(name)) for name in _FILES}
    for name in ("CT_small.dcm", "examples_rgb_color.dcm"):
        for options in _ENCODERS:
            made = _coded(bundled(name), options, folder)
            if made is not None:
                found[" ".join((name, *options))] = _as_study_of_its_own(made)
    found["8 bits in 16"] = _as_study_of_its_own(_eight_bits_in_sixteen(folder))
    return found


def samples_of(dataset: Dataset) -> tuple[tuple[int, ...], bytes]:
    """Shape and values of all frames: YBR as RGB, a sample in 64 bits."""
    syntax = dataset.file_meta.TransferSyntaxUID
    array, _ = decoding.decoder_for(syntax).as_array(dataset)
    return array.shape, array.astype(np.int64).tobytes()


def _as_study_of_its_own(octets: bytes) -> bytes:
    file = dataset_of(octets)
    file.StudyInstanceUID, file.SeriesInstanceUID = generate_uid(), generate_uid()
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    file.Modality = "ZZ"  # what a rule of the tests names
    return octets_of(file)


def _eight_bits_in_sixteen(folder: Path) -> bytes:
    """The codec gives octets, the object says words, as some modalities write it."""
    octets = bytes(range(256))
    plain = image(side=16, BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=octets)
    made = _coded(octets_of(plain), ("dcmcjpeg", "+e1"), folder)
    assert made is not None
    file = dataset_of(made)
    file.BitsAllocated = 16
    return octets_of(file)


def _coded(octets: bytes, options: tuple[str, ...], folder: Path) -> bytes | None:
    """The file as an encoder writes it; None where it has no such form (12 bits of colour)."""
    program, *rest = options
    source, target = folder / "source", folder / "coded"
    source.write_bytes(octets)
    target.unlink(missing_ok=True)
    command = [str(require_peer(program)), *rest, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, timeout=180, check=False)
    return target.read_bytes() if done.returncode == 0 and target.exists() else None


def each_of(folder: Path) -> Iterator[Dataset]:
    """Files of a folder, read."""
    yield from (pydicom.dcmread(path) for path in sorted(folder.iterdir()))
