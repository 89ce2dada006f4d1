"""Files and rows that a kill, a disk or a person left unmatched, as the next start finds them."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.imaging_gateway import KEY
from support.waiting import wait_until_sync
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool import sweep
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.incoming import IncomingFile
from wardlight_edge.spool.opening import aside_files, open_receiving
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.rows import Trailer, encode_trailer
from wardlight_edge.spool.workshop import Workshop
from wardlight_edge.spool.writer import SegmentWriter
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError


@contextmanager
def _receiving(folder: Path) -> Iterator[SqliteReceivingSpool]:
    with open_receiving(folder, KEY, DicomSettings(min_free_bytes=0)) as spool:
        yield spool


def _put(spool: SqliteReceivingSpool, uid: str, octets: bytes = b"abc") -> Path:
    incoming = spool.begin(BlobKind.INSTANCE, uid)
    incoming.write(octets)
    item = incoming.accept({"sop_instance": uid}).item
    name = spool.database.value("SELECT name FROM item WHERE item = ?", (item,))
    return spool.file_of(name)


def _change(folder: Path, sql: str) -> None:
    with Database(folder / "dicom" / "spool.sqlite") as database:
        database.write(lambda changes: changes.execute(sql))


@pytest.mark.parametrize("state", ["dropped", "delivered"])
def test_the_file_of_what_is_over_is_removed(tmp_path: Path, state: str) -> None:
    """A kill came between row and file; its octets are nobody's any more."""
    with _receiving(tmp_path) as spool:
        file = _put(spool, "1.1")
    _change(tmp_path, f"UPDATE item SET state = '{state}'")
    with _receiving(tmp_path) as spool:
        assert not file.exists()
        assert [each.state for each in spool.find("1.1")] == [state]


@pytest.mark.parametrize("state", ["waiting", "refused"])
def test_a_file_that_was_cut_is_no_good_one(tmp_path: Path, state: str) -> None:
    """What waits is damaged from then on; of what was refused the quota counts what is left."""
    with _receiving(tmp_path) as spool:
        file = _put(spool, "1.1", bytes(5000))
    _change(tmp_path, f"UPDATE item SET state = '{state}'")
    os.truncate(file, 1000)
    with _receiving(tmp_path) as spool:
        found = [each.state for each in spool.find("1.1")]
        assert found == ["damaged" if state == "waiting" else "refused"]
        assert spool.room.used_bytes() == 1000


def test_what_a_person_put_there_stops_no_start(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1")
    note = tmp_path / "dicom" / "objects" / "a note.txt"
    note.write_text("do not touch")
    _change(tmp_path, "DELETE FROM item")
    with _receiving(tmp_path) as spool:
        assert [each.state for each in spool.find("1.1")] == ["waiting"]
    assert note.exists()
    assert aside_files(tmp_path) == 0


def test_a_file_that_is_delivered_meanwhile_is_neither_entered_nor_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The uplink goes on while the imaging process starts."""
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1")
    _change(tmp_path, "DELETE FROM item")
    verified = sweep.verified

    def late(file: Path, key: bytes) -> Trailer:
        file.unlink()
        return verified(file, key)

    monkeypatch.setattr(sweep, "verified", late)
    with _receiving(tmp_path) as spool:
        assert spool.find("1.1") == []
    assert aside_files(tmp_path) == 0


def test_what_is_entered_was_brought_to_the_disk_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process before was killed before its flush; a power cut now takes nothing."""
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1")
    _change(tmp_path, "DELETE FROM item")
    done: list[str] = []
    enter = SqliteReceivingSpool.enter

    def entered(*arguments: object) -> object:
        done.append("entered")
        return enter(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("wardlight_edge.spool.sweep.os.sync", lambda: done.append("flushed"))
    monkeypatch.setattr(SqliteReceivingSpool, "enter", entered)
    with _receiving(tmp_path):
        assert done == ["flushed", "entered"]


def test_a_file_that_is_there_twice_is_entered_once(tmp_path: Path) -> None:
    """Its row is committed, and a copy came back from those that were set aside."""
    with _receiving(tmp_path) as spool:
        file = _put(spool, "1.1")
    copy = file.with_name("0a" * 16)
    copy.write_bytes(file.read_bytes())
    with _receiving(tmp_path) as spool:
        (found,) = spool.find("1.1")
        assert found.state is ItemState.WAITING
        assert (file.exists(), copy.exists()) == (True, False)
        assert spool.room.used_bytes() == file.stat().st_size


@pytest.mark.parametrize("wrong", ["sha256", "size"])
def test_a_file_that_is_not_what_its_end_says_is_set_aside(tmp_path: Path, wrong: str) -> None:
    """Every segment of it opens, and yet it is not what was received."""
    octets = b"abc"
    sha256 = bytes(32) if wrong == "sha256" else hashlib.sha256(octets).digest()
    size = len(octets) + (wrong == "size")
    with _receiving(tmp_path) as spool:
        writer = SegmentWriter(spool.file_of(b"n" * 16), KEY, Workshop())
        writer.write(octets)
        writer.complete()
        trailer = Trailer(BlobKind.INSTANCE, "1.1", "", 1, sha256, size, {})
        writer.finish(encode_trailer(trailer))
        writer.close()
    with _receiving(tmp_path) as spool:
        assert spool.find("1.1") == []
    assert aside_files(tmp_path) == 1


def test_on_a_disk_that_fails_no_row_vouches_for_a_file_that_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the flush nor the removal of the row succeeds: whoever sends the same is not told."""
    seen: list[bool] = []

    def fail(_: object) -> None:
        raise StorageError("the disk fails")

    def withdraw(spool: SqliteReceivingSpool, committing: Future[object]) -> None:
        assert committing.exception() is None
        seen.append(any(each.suffix == "" for each in spool.folder.iterdir()))
        raise StorageError("the disk fails")

    with _receiving(tmp_path) as spool:
        with monkeypatch.context() as patch:
            patch.setattr(SegmentWriter, "sync", fail)
            patch.setattr(SqliteReceivingSpool, "_withdraw", withdraw)
            with pytest.raises(StorageError):
                _put(spool, "1.1")
        assert seen == [False]
        (row,) = spool.find("1.1")
        assert spool.is_kept(row) is False
        assert _put(spool, "1.1").exists()
        assert [each.state for each in spool.find("1.1")] == ["waiting"]


def test_a_file_that_came_twice_at_once_is_promised_to_nobody_whose_row_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are committed as one row; then the file of that row cannot be flushed."""
    told: list[str] = []
    true, true_abandon, is_first = SegmentWriter.sync, SegmentWriter.abandon, [True]
    go, abandoned = threading.Event(), threading.Event()

    def sync(writer: SegmentWriter) -> None:
        if is_first[0]:
            is_first[0] = False
            go.wait(180)
            raise StorageError("the disk fails")
        true(writer)

    def abandon(writer: SegmentWriter) -> None:
        true_abandon(writer)
        abandoned.set()

    def send(spool: SqliteReceivingSpool) -> None:
        try:
            _put(spool, "1.1")
            told.append("kept")
        except StorageError:
            told.append("refused")

    monkeypatch.setattr(SegmentWriter, "sync", sync)
    monkeypatch.setattr(SegmentWriter, "abandon", abandon)
    monkeypatch.setattr(IncomingFile, "_repeated", lambda *_: None)  # neither has met the other
    with _receiving(tmp_path) as spool:
        senders = [threading.Thread(target=send, args=(spool,), daemon=True) for _ in range(2)]
        senders[0].start()
        wait_until_sync(lambda: spool.find("1.1") and not is_first[0])
        senders[1].start()
        assert abandoned.wait(180), "its sender waits for the first one now"
        assert told == []
        go.set()
        for sender in senders:
            sender.join(180)
        assert (told, spool.find("1.1")) == (["refused", "refused"], [])


@pytest.mark.parametrize(("state", "is_one"), [("dropped", False), ("refused", True)])
def test_what_a_person_gave_up_is_in_conflict_with_nothing(
    tmp_path: Path, state: str, is_one: bool
) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"abc")
        _change(tmp_path, f"UPDATE item SET state = '{state}'")
        _put(spool, "1.1", b"abd")
        assert [each.about.get("conflict") for each in spool.find("1.1")] == [False, is_one]
