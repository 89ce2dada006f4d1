"""What a decoder that crashes, hangs or has no room says of the object: nothing."""

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.dicom_files import bundled, sha256
from support.waiting import wait_until_sync
from wardlight_cloud.dimse.transcoding import (
    Failure,
    Transcoder,
    TranscodingError,
    TranscodingFailedError,
    transcode_file,
)
from wardlight_cloud.store.imaging import InstanceRef

EXPLICIT = "1.2.840.10008.1.2.1"
REF = InstanceRef(
    "1", "1.1", "1.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.70", sha256(b""),
    1, 1, 16, 16, 1, "hot", datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that is opened and never read to its end."""
    made = tmp_path / "endless"
    os.mkfifo(made)
    return made


def test_a_decoder_that_crashes_may_do_better_next_time(endless: Path, tmp_path: Path) -> None:
    with Transcoder() as transcoder:

        def kill() -> None:
            def processes() -> list[int]:
                pool = transcoder._pool
                return [] if pool is None else list(pool._processes or ())

            wait_until_sync(lambda: bool(processes()), 120, "it runs")
            for pid in processes():
                os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(TranscodingFailedError, match="crashed or hung"):
            transcoder.transcode(endless, tmp_path / "made", EXPLICIT, REF)
        killer.join()
        (tmp_path / "whole").write_bytes(bundled("SC_rgb_jpeg_gdcm.dcm"))
        transcoder.transcode(tmp_path / "whole", tmp_path / "made", EXPLICIT, REF)
    assert (tmp_path / "made").exists()


def test_a_decoder_that_hangs_may_do_better_next_time(endless: Path, tmp_path: Path) -> None:
    with (
        Transcoder(timeout_s=0.5) as transcoder,
        pytest.raises(TranscodingFailedError, match="crashed or hung"),
    ):
        transcoder.transcode(endless, tmp_path / "made", EXPLICIT, REF)


def test_no_room_is_no_fault_of_the_object(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bundled("SC_rgb_jpeg_gdcm.dcm"))
    found = transcode_file(source, tmp_path / "no folder" / "made", EXPLICIT)
    assert found == Failure("FileNotFoundError", is_final=False)


def test_what_nobody_decodes_is_final(tmp_path: Path) -> None:
    octets = bundled("SC_rgb_jpeg_gdcm.dcm")
    cut = tmp_path / "cut"
    cut.write_bytes(octets.replace(b"\xff\xd9", b"\0\0"))
    with Transcoder() as transcoder, pytest.raises(TranscodingError, match="cannot be decoded"):
        transcoder.transcode(cut, tmp_path / "made", EXPLICIT, REF)
