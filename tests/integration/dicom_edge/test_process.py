"""The process as a whole: killed at any moment, its memory, what it imports, and how it stops."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from support.dicom_services import ImagingProcess
from support.dicom_wire import Wire, data, instance, pdv, store
from support.imaging_process import data_set_of
from support.waiting import wait_until_sync
from wardlight_edge import imaging_status
from wardlight_edge.spool.segments import SEGMENT_BYTES

DICOM = "admit_loopback = true\nmin_free_bytes = 0\nidle_timeout_s = 30\n"
MOST_BYTES = 80 << 20


@pytest.fixture
def imaging(tmp_path: Path) -> Iterator[ImagingProcess]:
    process = ImagingProcess(tmp_path, DICOM)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def _kept(imaging: ImagingProcess) -> dict[str, bytes]:
    with imaging.uplink() as spool:
        return {
            str(item.about["sop_instance"]): data_set_of(spool.read(item.item, 0, item.size))
            for item in spool.waiting(limit=10_000)
        }


def _put(wire: Wire, uid: str, octets: bytes) -> int:
    wire.send(data(pdv(1, 3, store(uid))), data(pdv(1, 2, instance(uid, octets))))
    return wire.status()


def _sent(octets: dict[str, bytes]) -> dict[str, bytes]:
    return {uid: instance(uid, each) for uid, each in octets.items()}


def test_a_kill_within_an_object_leaves_nothing_of_it(imaging: ImagingProcess) -> None:
    with Wire(imaging.port) as wire:
        wire.associate()
        assert _put(wire, "1.2.1", b"whole") == 0
        begun = data(pdv(1, 3, store("1.2.2"))), data(pdv(1, 0, instance("1.2.2")))
        wire.send(*begun, *[data(pdv(1, 0, bytes(100_000)))] * 9)
        objects = imaging.data_dir / "dicom" / "objects"
        wait_until_sync(
            lambda: any(file.stat().st_size > SEGMENT_BYTES for file in objects.iterdir())
        )
        imaging.kill()
    imaging.start()
    assert _kept(imaging) == {"1.2.1": instance("1.2.1", b"whole")}
    assert len(list(objects.iterdir())) == 1


def test_kills_at_any_moment_lose_nothing_that_was_accepted(imaging: ImagingProcess) -> None:
    """Two senders, killed every now and then; what was answered with 0x0000 is there, whole."""
    accepted: dict[str, bytes] = {}
    sent: dict[str, bytes] = {}

    def send(sender: int, life: int) -> None:
        try:
            with Wire(imaging.port) as wire:
                wire.associate()
                for number in range(10_000):
                    uid = f"1.2.{sender}.{life}.{number}"
                    octets = sent[uid] = os.urandom(3_000 + 7_919 * (number % 13))
                    if _put(wire, uid, octets) != 0:
                        return
                    accepted[uid] = octets
        except (AssertionError, OSError):
            return  # the gateway was killed

    for life in range(4):
        target = len(accepted) + 5 + 7 * life
        senders = [threading.Thread(target=send, args=(number, life)) for number in (1, 2)]
        for sender in senders:
            sender.start()
        wait_until_sync(lambda least=target: len(accepted) >= least)  # type: ignore[misc]
        imaging.kill()
        for sender in senders:
            sender.join()
        imaging.start()
    kept = _kept(imaging)
    assert len(accepted) > 20
    assert {uid: kept.get(uid) for uid in accepted} == _sent(accepted)
    assert kept == _sent({uid: sent[uid] for uid in kept}), "nothing half, nothing else"
    assert len(kept) - len(accepted) <= 8, "at most one a sender and life was not answered yet"
    status = wait_until_sync(lambda: imaging_status.read(imaging.data_dir))
    assert status is not None
    assert (status.damaged, status.aside) == (0, 0)


def _grow(imaging: ImagingProcess, mib: int) -> int:
    """Send one object of this size; the largest memory meanwhile."""
    process = psutil.Process(imaging.pid)
    part = data(pdv(1, 0, bytes(1 << 18)[:-6]))
    largest = 0
    with Wire(imaging.port) as wire:
        wire.associate()
        wire.send(data(pdv(1, 3, store("1.2.3"))), data(pdv(1, 0, instance("1.2.3"))))
        for number in range(4 * mib):
            wire.send(part)
            if number % 64 == 0:
                largest = max(largest, process.memory_info().rss)
        wire.send(data(pdv(1, 2, b"")))
        assert wire.status() == 0
    return max(largest, process.memory_info().rss)


def test_memory_is_flat(imaging: ImagingProcess) -> None:
    assert _grow(imaging, 96) < MOST_BYTES


@pytest.mark.long
def test_memory_is_flat_at_500_mib(imaging: ImagingProcess) -> None:
    assert _grow(imaging, 500) < MOST_BYTES


def test_a_database_that_is_spoilt_meanwhile_is_made_again_from_the_files(
    imaging: ImagingProcess,
) -> None:
    """By the running process, on the same port; status and log say so, nothing is lost."""
    with Wire(imaging.port) as wire:
        wire.associate()
        assert _put(wire, "1.2.1", b"before") == 0
    file = imaging.data_dir / "dicom" / "spool.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as octets:
        octets.seek(4096)
        octets.write(bytes(range(256)) * (file.stat().st_size // 256 - 16))

    def is_healed() -> bool:
        try:
            with Wire(imaging.port) as wire:
                return wire.associate()[0] == 2 and _put(wire, "1.2.2", b"after") == 0
        except (OSError, AssertionError):
            return False

    wait_until_sync(is_healed, 60)
    assert psutil.pid_exists(imaging.pid)
    assert _kept(imaging) == _sent({"1.2.1": b"before", "1.2.2": b"after"})
    wait_until_sync(
        lambda: (told := imaging_status.read(imaging.data_dir)) and told.databases_aside
    )
    assert "damaged: set aside" in imaging.log.read_text()


def test_numpy_is_not_loaded(imaging: ImagingProcess) -> None:
    with Wire(imaging.port) as wire:
        wire.associate()
        assert _put(wire, "1.2.3", b"ab") == 0
    maps = Path(f"/proc/{imaging.pid}/maps").read_text()
    assert "_sqlite3" in maps
    assert "/numpy/" not in maps


def test_a_stop_ends_what_is_idle_and_tells_it(imaging: ImagingProcess) -> None:
    with Wire(imaging.port) as wire:
        wire.associate()
        assert _put(wire, "1.2.3", b"ab") == 0
        assert wait_until_sync(lambda: imaging_status.read(imaging.data_dir))
        imaging.stop()
        assert wire.receive()[0] == 7
    assert not (imaging.data_dir / "dicom.port").exists()
    assert imaging_status.read(imaging.data_dir) is None, "nobody takes it for one that died"


def test_a_stop_waits_for_an_object_that_is_being_sent(imaging: ImagingProcess) -> None:
    with Wire(imaging.port) as wire:
        wire.associate()
        whole = instance("1.2.3", b"abcd")
        wire.send(data(pdv(1, 3, store("1.2.3"))), data(pdv(1, 0, whole[:-2])))
        objects = imaging.data_dir / "dicom" / "objects"
        wait_until_sync(lambda: list(objects.iterdir()))
        stopping = threading.Thread(target=imaging.stop)
        stopping.start()
        wire.send(data(pdv(1, 2, whole[-2:])))
        assert wire.status() == 0
        stopping.join()
    assert _kept(imaging) == {"1.2.3": whole}
