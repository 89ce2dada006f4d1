"""A damaged database of the spool: seen while it runs, set aside, read as far as it goes."""

import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from support.edge_settings import settings_for
from support.imaging_gateway import KEY
from support.imaging_process import DEFAULTS
from support.manual_clock import ManualClock
from wardlight_edge import imaging_health
from wardlight_edge.dicom.process import serving
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.attention import Attention
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.commitments import PAGE, Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database, mark_of
from wardlight_edge.spool.faults import SpoolDamaged
from wardlight_edge.spool.opening import is_suspect, open_receiving, open_sending
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.salvage import Salvage, Salvaged
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.setting_aside import databases_aside
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable
from wardlight_edge.spool.worklist import WorklistTable
from wardlight_shared import worklist
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError
from wardlight_shared.worklist import WorklistEntry, WorklistPage

STEPS = 60
REFERENCES = [Reference("1.9", f"1.8.{number}") for number in range(PAGE + 7)]
PAGE_BYTES = 4096


@contextmanager
def _receiving(folder: Path, key: bytes = KEY) -> Iterator[SqliteReceivingSpool]:
    with open_receiving(folder, key, DicomSettings(min_free_bytes=0)) as spool:
        yield spool


def _put(spool: SqliteReceivingSpool, uid: str, octets: bytes, kind: BlobKind) -> int:
    incoming = spool.begin(kind, uid)
    incoming.write(octets)
    return incoming.accept({"sop_instance": uid, "sop_class": "1.9"}).item


def _filled(folder: Path, key: bytes = KEY) -> Path:
    """A spool with something of everything; its database, which nobody has open."""
    clock = ManualClock()
    with _receiving(folder, key) as spool:
        age = Age(spool.database, clock)
        clock.advance(3_600_000)
        age.keep(at_once=True)
        for number in range(4):
            _put(spool, f"1.1.{number}", b"image %d" % number, BlobKind.INSTANCE)
        sending = open_sending(folder, key)
        assert sending is not None
        sending.settle([1], ItemState.DELIVERED)
        sending.settle([2], ItemState.REFUSED, "no")
        WorklistTable(sending.database, sending.sealer, clock).keep(_page())
        sending.close()
        steps = StepTable(spool.database, spool.sealer)
        for number in range(STEPS):
            uid = f"1.2.{number}"
            event = StepEvent(uid, "create", "CT1", "W", "192.0.2.1", 1, b"file" * 300)
            assert steps.put(StepState("IN PROGRESS", 1, b"step" * 300), event, age.now_ms())
        commitments = CommitmentTable(spool.database, spool.sealer)
        for number in range(3):
            asker = Asker(f"1.3.{number}", "CT1", "W", "192.0.2.1")
            commitments.put(asker, REFERENCES, received_ms=1, now_ms=age.now_ms())
        (first, *_) = commitments.due(age.now_ms())
        commitments.decide(first, [0] * len(REFERENCES), age.now_ms())
    return folder / "dicom" / "spool.sqlite"


def _page() -> WorklistPage:
    entries = [WorklistEntry(number, number, b"entry") for number in (1, 2, 3)]
    return WorklistPage(worklist.VERSION, 0, 3, 3, 1_780_000_000_000, entries, 9)


def _told(spool: SqliteReceivingSpool) -> dict[str, object]:
    """What a spool knows, but what its files tell."""
    clock = ManualClock()
    steps = StepTable(spool.database, spool.sealer)
    commitments = CommitmentTable(spool.database, spool.sealer)
    held = WorklistTable(spool.database, spool.sealer, clock)
    due = commitments.due(1 << 60)
    return {
        "steps": sum(steps.find(f"1.2.{number}") is not None for number in range(STEPS)),
        "events": [each.event.sop_instance for each in steps.waiting(1000)],
        "commitments": [each.asked.transaction for each in due],
        "references": [sum(map(len, commitments.references(each))) for each in due],
        "outcomes": sum(map(len, commitments.outcomes(due[0]))) if due else 0,
        "worklist": [each.entry for each in held.entries()],
        "revision": held.revision(),
        "delivered": [each.state for each in spool.find("1.1.0")],
        "age": Age(spool.database, clock).now_ms() >= 3_600_000,
    }


WHOLE = {
    "steps": STEPS, "events": [f"1.2.{number}" for number in range(STEPS)],
    "commitments": ["1.3.1", "1.3.2", "1.3.0"], "references": [len(REFERENCES)] * 3,
    "worklist": [1, 2, 3], "revision": 0, "delivered": ["delivered"], "age": True,
}  # fmt: skip


def test_a_database_that_can_be_read_is_taken_over_whole(tmp_path: Path) -> None:
    """An index alone is damaged: nothing is lost, images have other numbers, the age goes on."""
    file = _filled(tmp_path)
    with _receiving(tmp_path) as spool:
        place = spool.database.value("SELECT rootpage FROM sqlite_master WHERE name = 'item_key'")
    _spoil(file, [place])
    with _receiving(tmp_path) as spool:
        told = _told(spool)
        assert told.pop("outcomes") == 0 or told["commitments"]
        told["commitments"] = sorted(told["commitments"])  # type: ignore[call-overload]
        assert told == {**WHOLE, "commitments": ["1.3.0", "1.3.1", "1.3.2"]}
        assert [spool.find(f"1.1.{number}")[0].state for number in range(4)] == [
            "delivered", "waiting", "waiting", "waiting",
        ]  # fmt: skip
        assert len(databases_aside(tmp_path)) == 1
        again = _put(spool, "1.1.0", b"image 0", BlobKind.INSTANCE)
        assert [each.item for each in spool.find("1.1.0")] == [again]


def _spoil(file: Path, pages: list[int]) -> None:
    noise = random.Random(1)
    with file.open("r+b") as octets:
        for page in pages:
            octets.seek((page - 1) * PAGE_BYTES)
            octets.write(noise.randbytes(PAGE_BYTES))


@pytest.mark.parametrize("kind", ["pages", "truncated", "garbage"])
def test_what_is_left_of_a_damaged_database_is_genuine(tmp_path: Path, kind: str) -> None:
    """Whatever page is spoilt: images are all there, the rest is there or not, and never half."""
    file = _filled(tmp_path)
    size = file.stat().st_size
    pages = size // PAGE_BYTES
    if kind == "pages":
        _spoil(file, random.Random(3).sample(range(2, pages), pages // 12))
    elif kind == "truncated":
        os.truncate(file, size // 2)
    else:
        file.write_bytes(os.urandom(size))
    mark_of(file).touch()
    with _receiving(tmp_path) as spool:
        told = _told(spool)
        for name in ("events", "commitments", "worklist"):
            assert set(told[name]) <= set(WHOLE[name])  # type: ignore[call-overload]
        assert told["references"] == [len(REFERENCES)] * len(told["commitments"])  # type: ignore[arg-type]
        images = [spool.find(f"1.1.{number}") for number in (1, 2, 3)]
        assert [found[0].state for found in images] == ["waiting"] * 3
        if kind == "pages":
            assert told["steps"] > STEPS / 2  # type: ignore[operator]
    with _receiving(tmp_path) as spool:
        assert _told(spool) == told, "read once, and only kept from then on"
        assert not list((tmp_path / "dicom").glob("*salvage*"))
        (found,) = databases_aside(tmp_path)
        attention = Attention(spool.database, spool.sealer, KEY)
        (entry,) = [each for each in attention.entries(("aside",)) if each.kind == "database"]
        attention.drop(entry.entry)
        assert databases_aside(tmp_path) == []
        assert not found.exists()


def test_half_a_request_and_what_is_not_genuine_are_left_out(tmp_path: Path) -> None:
    """Rows of another key, or of another place, and a list of which a page was not to be read."""
    file = _filled(tmp_path)
    with closing(sqlite3.connect(file)) as wreck, wreck:
        wreck.execute("DELETE FROM commitment_page WHERE commitment = 2 AND page = 1")
        wreck.execute("UPDATE commitment SET verdicts = x'00' WHERE commitment = 1")
        for table in ("step", "step_event"):
            wreck.execute(f"UPDATE {table} SET sealed = zeroblob(99) WHERE rowid = 1")
            wreck.execute(f"UPDATE {table} SET sealed = 'text' WHERE rowid = 2")
        wreck.execute("UPDATE item SET name = zeroblob(16) WHERE item = 1")
        wreck.execute("UPDATE worklist SET entry = 7 WHERE entry = 3")
    with Database(tmp_path / "new.sqlite") as database:
        for _ in range(2):
            told = Salvage(database, Sealer(KEY), file).run()
            assert told == Salvaged(STEPS - 2, STEPS - 2, 1, 0, 0, is_whole=True)
        commitments = CommitmentTable(database, Sealer(KEY))
        (left,) = commitments.due(1 << 60)
        assert (left.asked.transaction, left.asked_at) == ("1.3.2", 3_600_000)
        assert sum(map(len, commitments.references(left))) == len(REFERENCES)
    with closing(sqlite3.connect(file)) as wreck, wreck:
        wreck.execute("UPDATE worklist SET entry = 3 WHERE entry = 7")
        wreck.execute("DELETE FROM age")
    with Database(tmp_path / "other.sqlite") as database:
        told = Salvage(database, Sealer(KEY), file).run()
        assert (told.is_whole, told.worklist) == (False, 0), "half a list is none"
        (left,) = CommitmentTable(database, Sealer(KEY)).due(0)
        assert left.asked_at == 0, "its age begins anew"


def test_damage_that_is_met_while_it_runs_ends_in_a_new_database(tmp_path: Path) -> None:
    """Told in status and health; whoever delivers goes on with the new one."""
    settings = msgspec.structs.replace(settings_for(tmp_path), dicom=DEFAULTS)
    settings.data_dir.mkdir(exist_ok=True, mode=0o700)
    key = read_or_make(settings.data_dir / "outbox.key")
    file = _filled(settings.data_dir, key)
    stopping = threading.Event()
    with serving(settings, stopping) as running:
        sending = open_sending(settings.data_dir, key)
        assert sending is not None
        before = sending.identity
        running.tell_unusable("no reason yet")
        size = file.stat().st_size
        _spoil(file, list(range(1, size // PAGE_BYTES)))
        os.truncate(file.with_name(file.name + "-wal"), 0)
        working = threading.Thread(target=running.work, daemon=True)
        working.start()
        working.join(180)  # it ends by itself
        assert not working.is_alive()
        assert not stopping.is_set()
        assert is_suspect(sending.database)
    with serving(settings, threading.Event()) as running:
        status = running.status()
        assert (status.databases_aside, status.waiting >= 3, status.damaged) == (1, True, 0)
        (sentence,) = [
            each
            for each in imaging_health.trouble(status, status.updated_ms)
            if "set aside" in each
        ]
        assert "dicom drop" in sentence
        assert imaging_health.health(status)["images_databases_aside"] == 1
        with pytest.raises(StorageError, match="made again"):
            sending.waiting()
        assert sending.identity != before
        assert len(sending.waiting()) >= 3
        sending.close()


def test_a_quota_that_is_nearly_used_up_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Again when it was well below meanwhile."""
    dicom = msgspec.structs.replace(DEFAULTS, quota_bytes=1 << 20)
    settings = msgspec.structs.replace(settings_for(tmp_path), dicom=dicom)
    with serving(settings, threading.Event()) as running:
        status = running.status()
        for percent in (79, 80, 79, 95, 76, 81, 74, 85, 85):
            used = percent * dicom.quota_bytes // 100 + 1
            running._warn(msgspec.structs.replace(status, disk_bytes=used))
    told = [record for record in caplog.records if "nearly used up" in record.getMessage()]
    assert [vars(record)["percent"] for record in told] == [80, 85]


def test_a_database_that_was_called_damaged_and_is_sound_stays(tmp_path: Path) -> None:
    file = _filled(tmp_path)
    with _receiving(tmp_path) as spool:
        before = _told(spool)
        mark_of(file).touch()
        assert is_suspect(spool.database)
    with _receiving(tmp_path) as spool:
        assert not is_suspect(spool.database)
        assert _told(spool) == before
        with pytest.raises(SpoolDamaged):
            _meet_damage(spool)
        assert is_suspect(spool.database)
    assert databases_aside(tmp_path) == []


def _meet_damage(spool: SqliteReceivingSpool) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    with spool.database._meaning():
        raise error


def test_a_receipt_for_a_database_that_was_set_aside_takes_no_file_away(tmp_path: Path) -> None:
    _filled(tmp_path)
    with _receiving(tmp_path) as spool:
        sending = open_sending(tmp_path, KEY)
        assert sending is not None
        assert sending.identity
        (waiting, *_) = [item for item in sending.waiting() if item.kind is BlobKind.INSTANCE]
        file = tmp_path / "dicom" / "spool.sqlite"
        file.rename(tmp_path / "elsewhere")
        with pytest.raises(StorageError, match="set aside"):
            sending.settle([waiting.item], ItemState.DELIVERED)
        assert is_suspect(spool.database), "it is gone"
        sending.close()
        names = spool.database.rows("SELECT name FROM item WHERE item = ?", (waiting.item,))
        assert spool.file_of(names[0][0]).exists()
