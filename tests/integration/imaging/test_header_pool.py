"""Headers are read by processes: what a hostile file does to one harms no other file."""

import asyncio
import os
import signal
import zlib
from pathlib import Path

import psutil
import pytest

from support.dicom_files import FOLDER
from wardlight_cloud.config import ImagesSettings
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.pool import HeaderPool
from wardlight_shared.errors import StorageError

SETTINGS = ImagesSettings(processes=1, header_timeout_s=30, inflated_bytes=1 << 20)


def _readers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if any("header_process" in part for part in each.cmdline())]


def _file(tmp_path: Path, octets: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(octets)
    return path


def _deflated(dataset: bytes) -> bytes:
    """A file of the deflated transfer syntax (PS3.5, A.5) with this data set."""
    plain = (FOLDER / "image_dfl.dcm").read_bytes()
    end = plain.index(b"1.2.840.10008.1.2.1.99")
    length = int.from_bytes(plain[140:144], "little")  # (0002,0000): of what follows it
    assert end < 144 + length
    compress = zlib.compressobj(1, zlib.DEFLATED, -15)
    return plain[: 144 + length] + compress.compress(dataset) + compress.flush()


async def test_headers_are_read_and_errors_named(tmp_path: Path) -> None:
    async with HeaderPool(SETTINGS) as pool:
        header = await pool.read(FOLDER / "CT_small.dcm")
        assert header.patient_id == "1CT1"
        with pytest.raises(HeaderError) as caught:
            await pool.read(_file(tmp_path, b"no file"))
        assert caught.value.reason == "preamble"
        with pytest.raises(StorageError):
            await pool.read(tmp_path / "not there")
    assert not _readers()


async def test_an_inflating_file_is_refused(tmp_path: Path) -> None:
    bomb = _deflated(bytes(20 << 20))
    assert len(bomb) < 1 << 20
    async with HeaderPool(SETTINGS) as pool:
        with pytest.raises(HeaderError) as caught:
            await pool.read(_file(tmp_path, bomb))
        assert caught.value.reason == "size"
        assert (await pool.read(FOLDER / "image_dfl.dcm")).frame_count == 1


async def test_a_file_that_takes_all_memory_ends_its_process_only(tmp_path: Path) -> None:
    """It inflates to more than the process may have, though the settings would allow it."""
    path = _file(tmp_path, _deflated(bytes(300 << 20)))
    limits = {"header_memory_bytes": 300 << 20, "inflated_bytes": 1 << 30}
    async with HeaderPool(SETTINGS.model_copy(update=limits)) as pool:
        with pytest.raises(HeaderError) as caught:
            await pool.read(path)
        assert caught.value.reason == "memory"
        assert (await pool.read(FOLDER / "CT_small.dcm")).patient_id == "1CT1"


async def test_a_process_that_does_not_answer_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    settings = SETTINGS.model_copy(update={"header_timeout_s": 0.3})
    async with HeaderPool(settings) as pool:
        await pool.read(FOLDER / "CT_small.dcm")
        with pytest.raises(HeaderError) as caught:
            await pool.read(fifo)
        assert caught.value.reason == "time"
        assert (await pool.read(FOLDER / "CT_small.dcm")).patient_id == "1CT1"


async def test_a_process_that_is_killed_from_outside_costs_no_file() -> None:
    async with HeaderPool(SETTINGS) as pool:
        await pool.read(FOLDER / "CT_small.dcm")
        (reader,) = _readers()
        reader.send_signal(signal.SIGKILL)
        reader.wait(10)
        assert (await pool.read(FOLDER / "MR_small.dcm")).columns["Modality"] == "MR"


DEADLY = """
import os, pathlib, sys, time
os.write(1, b"headers\\n")
sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), "big"))
lives = pathlib.Path(__file__).with_name("lives")
signals = lives.read_text().split()
lives.write_text(" ".join(signals[1:]))
if int(signals[0]) == 2:
    os.close(1)  # as an interpreter does while it ends: its last words come before its end
    time.sleep(0.2)
os.kill(os.getpid(), int(signals[0]))
"""


@pytest.mark.parametrize(
    ("signals", "error"),
    [
        # As the kernel ends what takes all memory of the machine: once may be another one's fault.
        ([signal.SIGKILL, signal.SIGKILL], HeaderError),
        ([signal.SIGSEGV, signal.SIGKILL], HeaderError),
        # As an operator or a service manager ends everything.
        ([signal.SIGTERM], StorageError),
        ([signal.SIGKILL, signal.SIGINT], StorageError),
    ],
)
async def test_only_a_file_that_two_processes_died_of_is_judged(
    signals: list[signal.Signals],
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "lives").write_text(" ".join(str(int(each)) for each in signals))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("wardlight_cloud.imaging.pool._PROGRAM", "deadly")
    async with HeaderPool(SETTINGS) as pool:
        with pytest.raises(error):
            await pool.read(FOLDER / "CT_small.dcm")
    assert (tmp_path / "lives").read_text() == "", "as many were tried as died"


async def test_a_process_that_does_not_end_by_itself_tells_nothing_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = """
import os, sys, time
os.write(1, b"headers\\n")
sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), "big"))
os.close(1)
time.sleep(600)
"""
    (tmp_path / "staying.py").write_text(stays)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("wardlight_cloud.imaging.pool._PROGRAM", "staying")
    monkeypatch.setattr("wardlight_cloud.imaging.pool._GOODBYE_S", 0.1)
    async with HeaderPool(SETTINGS) as pool:
        with pytest.raises(StorageError, match="try again"):
            await pool.read(FOLDER / "CT_small.dcm")


@pytest.mark.parametrize("error", [OSError(12, "no memory"), BlockingIOError(11, "no process")])
async def test_a_process_that_cannot_be_started_is_no_judgement_of_the_file(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise error

    async with HeaderPool(SETTINGS) as pool:
        with monkeypatch.context() as full:
            full.setattr(asyncio, "create_subprocess_exec", refused)
            with pytest.raises(StorageError, match="can be started"):
                await pool.read(FOLDER / "CT_small.dcm")
        assert (await pool.read(FOLDER / "CT_small.dcm")).patient_id == "1CT1"


@pytest.mark.parametrize("program", ["wardlight_cloud.imaging.not_there", "calendar"])
async def test_a_program_that_is_not_there_or_another_one_is_no_judgement_of_the_file(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardlight_cloud.imaging.pool._PROGRAM", program)
    async with HeaderPool(SETTINGS) as pool:
        with pytest.raises(StorageError):
            await pool.read(FOLDER / "CT_small.dcm")
    assert not _readers()


async def test_a_take_that_is_cancelled_leaves_no_answer_behind(tmp_path: Path) -> None:
    fifo = tmp_path / "slow"
    os.mkfifo(fifo)
    async with HeaderPool(SETTINGS) as pool:
        await pool.read(FOLDER / "CT_small.dcm")
        waiting = asyncio.create_task(pool.read(fifo))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await pool.read(FOLDER / "MR_small.dcm")).columns["Modality"] == "MR"


async def test_closing_ends_those_at_work(tmp_path: Path) -> None:
    fifo = tmp_path / "slow"
    os.mkfifo(fifo)
    pool = HeaderPool(SETTINGS)
    await pool.read(FOLDER / "CT_small.dcm")
    waiting = asyncio.create_task(pool.read(fifo))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(StorageError, match="ended"):
        await waiting
    assert not _readers()
