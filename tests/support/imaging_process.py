"""The DICOM services of a gateway in threads of the test; senders, and what the spool holds."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from support.edge_settings import settings_for
from wardlight_edge.dicom.process import Imaging, serving
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.spool.base import Item
from wardlight_edge.spool.opening import open_sending

DEFAULTS = DicomSettings(
    port=0, admit_loopback=True, min_free_bytes=0, idle_timeout_s=20.0, pdu_timeout_s=20.0
)


@contextmanager
def imaging(folder: Path, **changes: Any) -> Iterator[Imaging]:
    """The DICOM services in threads of this process; ``.port``."""
    dicom = msgspec.structs.replace(DEFAULTS, **changes)
    settings = msgspec.structs.replace(settings_for(folder), dicom=dicom)
    with serving(settings, threading.Event()) as running:
        yield running


def all_stored(folder: Path) -> list[tuple[Item, bytes]]:
    """What a spool holds and would deliver, with the octets of its files."""
    sending = open_sending(folder, read_or_make(folder / "outbox.key"))
    assert sending is not None
    try:
        items = sending.waiting(limit=10_000)
        return [(item, sending.read(item.item, 0, item.size)) for item in items]
    finally:
        sending.close()


def stored(folder: Path) -> dict[str, tuple[Item, bytes]]:
    """The same by SOP instance."""
    return {str(item.about["sop_instance"]): (item, file) for item, file in all_stored(folder)}


def data_set_of(file: bytes) -> bytes:
    """The octets of a DICOM file after its file meta information (PS3.10, 7.1)."""
    assert file[128:132] == b"DICM"
    assert file[132:138] == b"\x02\x00\x00\x00UL"
    return file[144 + int.from_bytes(file[140:144], "little") :]


def run_dcmtk(program: Path, port: int, *arguments: str | Path, **environment: str) -> str:
    """Run a sender of DCMTK to its end; what it said. It must succeed."""
    result = dcmtk(program, port, *arguments, **environment)
    assert result.returncode == 0, result.stdout
    return result.stdout


def dcmtk(
    program: Path, port: int, *arguments: str | Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run a sender of DCMTK to its end."""
    call: Sequence[str] = [
        *(str(program), "-v", "-aec", "WARDLIGHT", "127.0.0.1", str(port)),
        *(str(each) for each in arguments),
    ]
    return subprocess.run(
        call,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=180,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
