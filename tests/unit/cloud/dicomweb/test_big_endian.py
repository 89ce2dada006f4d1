"""Files in big endian, made by DCMTK's dcmconv: values, frames and whole files little-endian."""

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from support.dicom_files import image, octets_of
from support.peers import require_peer
from wardlight_cloud.dicomweb.making import bulk, pixels, transcode

EXPLICIT = "1.2.840.10008.1.2.1"


def _samples(bits: int, count: int) -> bytes:
    """Every octet of a sample counts."""
    made = np.random.default_rng(bits).integers(0, 1 << bits, count, np.uint64)
    return made.astype(f"<u{bits // 8}").tobytes()


def _file(folder: Path, *, bits: int, frames: int = 2, side: int = 3) -> Dataset:
    octets = _samples(bits, frames * side * side)
    made = image(
        side=side, NumberOfFrames=frames, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1,
        PixelData=octets,
    )  # fmt: skip
    made["PixelData"].VR = "OW"
    made.add_new(0x00090010, "LO", "WARDLIGHT TEST")
    made.add_new(0x00091010, "OW", bytes(range(8)))
    made.add_new(0x00091011, "OF", bytes(range(8)))
    made.add_new(0x00091012, "US", [1, 515])
    (folder / "little").write_bytes(octets_of(made))
    command = [str(require_peer("dcmconv")), "+tb", str(folder / "little"), str(folder / "big")]
    subprocess.run(command, check=True, timeout=180, capture_output=True)
    assert pydicom.dcmread(folder / "big").PixelData != octets
    return made


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_samples_are_those_that_dcmtk_was_given(bits: int, tmp_path: Path) -> None:
    """Words of 16 bits, also of octets in frames of an odd number, and of 32 bits (PS3.5, 7.3)."""
    made = _file(tmp_path, bits=bits)
    big = str(tmp_path / "big")
    frames = [pixels.raw_frame(big, number) for number in (1, 2)]
    assert b"".join(frames) == made.PixelData[: 2 * len(frames[0])]
    (tmp_path / "ours").write_bytes(transcode.explicit_little(big))
    ours, little = (pydicom.dcmread(tmp_path / name) for name in ("ours", "little"))
    assert ours.file_meta.TransferSyntaxUID == EXPLICIT
    assert ours == little
    assert bulk.value(big, ("7FE00010",)) == made.PixelData
    for tag in ("00091010", "00091011"):
        assert bulk.value(big, (tag,)) == bytes(range(8))
    assert bulk.value(big, ("00091012",)) == b"\1\0\3\2"
