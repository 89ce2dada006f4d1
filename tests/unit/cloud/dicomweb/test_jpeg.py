"""JPEG lossless and of 12 bits, sample by sample against dcmtk's encoder and decoder."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from support.dicom_files import bundled, dataset_of, image
from support.peers import require_peer
from wardlight_cloud.dicomweb.making.pixels import raw_frame, samples
from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import Refusal

_ROWS, _COLUMNS = 61, 67


def _values(bits: int, channels: int) -> Any:
    """Slopes, noise, and both ends of the range."""
    random = np.random.default_rng(bits)
    rows, columns = np.mgrid[:_ROWS, :_COLUMNS]
    wave = (np.sin(columns / 9) + np.cos(rows / 7) + 2) / 4 * (2**bits - 1)
    grey = np.clip(wave + random.integers(-3, 4, wave.shape), 0, 2**bits - 1)
    grey[0, 0], grey[-1, -1] = 0, 2**bits - 1
    grey = grey.astype(np.uint8 if bits <= 8 else np.uint16)
    return grey if channels == 1 else np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)


def _file(folder: Path, values: Any, bits: int, *, signed: bool = False) -> Path:
    channels = 1 if values.ndim == 2 else 3
    octets = values.tobytes()
    made = image(
        Rows=_ROWS, Columns=_COLUMNS, BitsAllocated=values.itemsize * 8, BitsStored=bits,
        HighBit=bits - 1, PixelRepresentation=int(signed), SamplesPerPixel=channels,
        PhotometricInterpretation="MONOCHROME2" if channels == 1 else "RGB",
        PixelData=octets + b"\0" * (len(octets) % 2),
    )  # fmt: skip
    if channels == 3:
        made.PlanarConfiguration = 0
    file = folder / "plain.dcm"
    made.save_as(file)
    return file


def _coded(file: Path, *options: str) -> Path:
    coded = file.with_name("coded.dcm")
    command = [str(require_peer("dcmcjpeg")), *options, str(file), str(coded)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return coded


@pytest.mark.parametrize("predictor", [1, 2, 4, 5, 6, 7])
@pytest.mark.parametrize(("bits", "channels"), [(8, 3), (10, 1), (12, 1), (16, 1)])
def test_process_14_gives_what_was_coded(
    tmp_path: Path, bits: int, channels: int, predictor: int
) -> None:
    values = _values(bits, channels)
    coded = _coded(_file(tmp_path, values, bits), "+el", "+sv", str(predictor))
    dataset = read(str(coded))
    assert dataset.file_meta.TransferSyntaxUID == JPEGLossless
    found, meaning = samples(dataset, 1, as_rgb=True)
    assert meaning == ("MONOCHROME2" if channels == 1 else "RGB")
    assert np.array_equal(found, values)
    assert raw_frame(str(coded), 1) == values.astype(values.dtype.newbyteorder("<")).tobytes()


@pytest.mark.parametrize("bits", [12, 16])
def test_signed_samples_keep_their_sign(tmp_path: Path, bits: int) -> None:
    """Two's complement of Bits Stored bits, of which the stream knows nothing."""
    values = _values(bits, 1)
    signed = values.astype(np.int32) - 2 ** (bits - 1)
    kept = (signed & (2**bits - 1)).astype(np.uint16)
    coded = _coded(_file(tmp_path, kept, bits, signed=True), "+e1")
    dataset = read(str(coded))
    assert dataset.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    found, _ = samples(dataset, 1, as_rgb=True)
    assert np.array_equal(found, signed)


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_real_files_are_decoded_as_by_dcmtk(tmp_path: Path, name: str) -> None:
    """12 bits with loss, and lossless colours, octet by octet."""
    file, plain = tmp_path / name, tmp_path / "plain.dcm"
    file.write_bytes(bundled(name))
    command = [str(require_peer("dcmdjpeg")), "+cn", str(file), str(plain)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    expected = pydicom.dcmread(plain)
    assert raw_frame(str(file), 1) == expected.PixelData[: len(raw_frame(str(file), 1))]
    assert len(raw_frame(str(file), 1)) >= len(expected.PixelData) - 1


def test_12_bits_of_our_own_choice(tmp_path: Path) -> None:
    coded = _coded(_file(tmp_path, _values(12, 1), 12), "+ee")
    assert dataset_of(coded.read_bytes()).file_meta.TransferSyntaxUID == JPEGExtended12Bit
    plain = tmp_path / "decoded.dcm"
    command = [str(require_peer("dcmdjpeg")), str(coded), str(plain)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    found, _ = samples(read(str(coded)), 1, as_rgb=True)
    assert np.array_equal(found, pydicom.dcmread(plain).pixel_array)


@pytest.mark.parametrize("kept", [0, 40, 900])
def test_a_damaged_stream_is_refused(tmp_path: Path, kept: int) -> None:
    """Nothing of an image that was cut off is made up; a header of another size is no image."""
    coded = _coded(_file(tmp_path, _values(16, 1), 16), "+e1")
    dataset = read(str(coded))
    stream = dataset.PixelData
    dataset.PixelData = stream[: 24 + kept] + b"\xfe\xff\xdd\xe0\0\0\0\0"
    with pytest.raises(Refusal):
        samples(dataset, 1, as_rgb=True)
    dataset.PixelData, dataset.Rows = stream, _ROWS + 1
    with pytest.raises(Refusal):
        samples(dataset, 1, as_rgb=True)
