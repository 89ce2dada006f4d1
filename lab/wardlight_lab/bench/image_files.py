"""DICOM files to send: images of noise, each with UIDs of its own. Made octet by octet."""

import os
from pathlib import Path
from struct import Struct
from typing import Final
from uuid import uuid4

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
_EXPLICIT_LITTLE: Final = b"1.2.840.10008.1.2.1"
_SHORT: Final = Struct("<HH2sH")
_LONG: Final = Struct("<HH2sxxI")


def write_files(folder: Path, sop_class: str, side: int, count: int) -> list[Path]:
    """``count`` images of ``side`` x ``side`` pixels of 16 bits, of one series."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = _uid(), _uid()
    paths = []
    for number in range(count):
        path = folder / f"{number:04}.dcm"
        path.write_bytes(_file(sop_class, study, series, side, number))
        paths.append(path)
    return paths


def _file(sop_class: str, study: bytes, series: bytes, side: int, number: int) -> bytes:
    instance, kind = _uid(), sop_class.encode()
    meta = (
        _LONG.pack(2, 1, b"OB", 2) + b"\0\1"
        + _element(2, 2, b"UI", kind)
        + _element(2, 3, b"UI", instance)
        + _element(2, 0x10, b"UI", _EXPLICIT_LITTLE)
        + _element(2, 0x12, b"UI", b"2.25.1")
    )  # fmt: skip
    pixels = os.urandom(side * side * 2)
    return b"".join(
        (
            bytes(128), b"DICM", _SHORT.pack(2, 0, b"UL", 4), len(meta).to_bytes(4, "little"), meta,
            _element(8, 0x16, b"UI", kind),
            _element(8, 0x18, b"UI", instance),
            _element(8, 0x20, b"DA", b"20260131"),
            _element(8, 0x60, b"CS", b"CT" if sop_class == CT else b"DX"),
            _element(0x10, 0x10, b"PN", b"Bench^Nobody"),
            _element(0x10, 0x20, b"LO", b"BENCH"),
            _element(0x20, 0x0D, b"UI", study),
            _element(0x20, 0x0E, b"UI", series),
            _element(0x20, 0x13, b"IS", str(number + 1).encode()),
            _numbers((0x28, 2, 1)),
            _element(0x28, 4, b"CS", b"MONOCHROME2"),
            _numbers(
                (0x28, 0x10, side), (0x28, 0x11, side), (0x28, 0x100, 16), (0x28, 0x101, 16),
                (0x28, 0x102, 15), (0x28, 0x103, 0),
            ),
            _LONG.pack(0x7FE0, 0x10, b"OW", len(pixels)), pixels,
        )
    )  # fmt: skip


def _numbers(*elements: tuple[int, int, int]) -> bytes:
    return b"".join(
        _element(group, element, b"US", value.to_bytes(2, "little"))
        for group, element, value in elements
    )


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return _SHORT.pack(group, element, vr, len(value)) + value


def _uid() -> bytes:
    return f"2.25.{uuid4().int}".encode()
