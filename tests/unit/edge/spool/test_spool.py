"""The spool: what is accepted is kept once, delivered, refused or shown as damaged."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.waiting import wait_until_sync
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool import segments
from wardlight_edge.spool.base import Accepted, ItemState, ReceivingSpool, SendingSpool, SpoolFull
from wardlight_edge.spool.counts import SpoolCounts, spool_counts
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.opening import aside_files, open_receiving, open_sending
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_edge.spool.writer import SegmentWriter
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import ConfigError, StorageError

KEY = bytes(range(32))
INSTANCE, STEP = BlobKind.INSTANCE, BlobKind.STEP


@contextmanager
def _receiving(folder: Path, **changes: Any) -> Iterator[SqliteReceivingSpool]:
    settings = DicomSettings(**{"min_free_bytes": 0, **changes})
    with open_receiving(folder, KEY, settings) as spool:
        yield spool


@contextmanager
def _sending(folder: Path) -> Iterator[SqliteSendingSpool]:
    spool = open_sending(folder, KEY)
    assert spool is not None
    try:
        yield spool
    finally:
        spool.close()


def _put(
    spool: SqliteReceivingSpool, uid: str, octets: bytes, kind: BlobKind = INSTANCE, **more: Any
) -> Accepted:
    incoming = spool.begin(kind, uid, **more)
    incoming.write(octets)
    return incoming.accept({"sop_instance": uid, "calling_ae": "CT1"})


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "dicom" / "objects").iterdir())


def test_the_spool_is_what_its_contracts_say(tmp_path: Path) -> None:
    with _receiving(tmp_path) as receiving, _sending(tmp_path) as sending:
        one: ReceivingSpool = receiving
        other: SendingSpool = sending
        assert one.find("1.2") == []
        assert other.waiting() == []


def test_what_was_accepted_is_read_by_the_other_process(tmp_path: Path) -> None:
    octets = os.urandom(600_000)
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        accepted = _put(spool, "1.2.3", octets)
        (item,) = sending.waiting()
        assert (item.item, item.kind, item.size) == (accepted.item, INSTANCE, len(octets))
        assert item.about == {"sop_instance": "1.2.3", "calling_ae": "CT1", "conflict": False}
        assert sending.read(item.item, 262_000, 400) == octets[262_000:262_400]
        assert sending.read(item.item, 0, 1 << 20) == octets
        assert sending.waiting(after=item.item) == []
        assert sending.waiting(kind=STEP) == []


def test_the_same_file_again_is_known_and_written_once(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        first = _put(spool, "1.2.3", b"abc")
        assert _put(spool, "1.2.3", b"abc") == Accepted(first.item, known=True, conflict=False)
        assert len(_files(tmp_path)) == 1
        assert [each.item for each in sending.waiting()] == [first.item]


@pytest.mark.parametrize(
    ("word", "reason"),
    [(ItemState.DELIVERED, None), (ItemState.DELIVERED, "no image"), (ItemState.REFUSED, "no")],
)
@pytest.mark.parametrize("is_gone", [False, True])
def test_what_the_collector_has_judged_is_offered_again_when_it_is_sent_again(
    tmp_path: Path, word: ItemState, reason: str | None, is_gone: bool
) -> None:
    """It may be there no more, or looked at again now; its row and file come instead of the old."""
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        first = _put(spool, "1.2.3", b"abc").item
        sending.settle([first], word, reason)
        if is_gone:
            for file in _files(tmp_path):
                file.unlink()
        again = _put(spool, "1.2.3", b"abc")
        assert (again.known, again.conflict) == (False, False)
        assert [each.item for each in sending.waiting()] == [again.item]
        assert [each.item for each in spool.find("1.2.3")] == [again.item]
        assert sending.read(again.item, 0, 9) == b"abc"
        assert len(_files(tmp_path)) == 1


def test_a_step_s_message_that_was_delivered_stays_known(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        first = _put(spool, "1.5", b"a", STEP).item
        sending.settle([first], ItemState.DELIVERED)
        assert _put(spool, "1.5", b"a", STEP) == Accepted(first, known=True, conflict=False)
        assert sending.waiting() == []


def test_another_file_with_the_same_uid_is_a_conflict_and_both_are_kept(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        _put(spool, "1.2.3", b"abc")
        second = _put(spool, "1.2.3", b"abd")
        assert (second.known, second.conflict) == (False, True)
        assert [item.about["conflict"] for item in sending.waiting()] == [False, True]
        assert sending.read(second.item, 0, 10) == b"abd"


def test_of_a_step_the_same_message_after_another_one_is_new(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        texts = [b"a", b"b", b"b", b"a"]
        known = [_put(spool, "1.5", text, STEP).known for text in texts]
        assert known == [False, False, True, False]
        assert "conflict" not in sending.waiting(kind=STEP)[1].about


def test_the_collector_s_word_stays(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        one, two = _put(spool, "1.1", b"a").item, _put(spool, "1.2", b"b").item
        for _ in range(2):
            sending.settle([one], ItemState.DELIVERED)
            sending.settle([two], ItemState.REFUSED, "no image")
        sending.settle([one], ItemState.REFUSED, "late")
        assert sending.waiting() == []
        assert [spool.find(uid)[0].state for uid in ("1.1", "1.2")] == ["delivered", "refused"]
        assert spool.find("1.2")[0].reason == "no image"
        with pytest.raises(StorageError):
            sending.read(one, 0, 1)


def test_files_of_many_associations_are_all_kept(tmp_path: Path) -> None:
    """Also the same file from several at once: one item."""
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        results: list[Accepted] = []

        def send(number: int) -> None:
            results.append(_put(spool, "1.9.0", b"the same"))
            for each in range(5):
                _put(spool, f"1.{number}.{each}", b"%d %d" % (number, each))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [each.known for each in results].count(False) == 1
        assert len({each.item for each in results}) == 1
        assert len(sending.waiting(limit=100)) == 41 == len(_files(tmp_path))
        assert spool.room.used_bytes() == sum(each.stat().st_size for each in _files(tmp_path))


def test_nothing_is_begun_without_room(tmp_path: Path) -> None:
    with _receiving(tmp_path, quota_bytes=1 << 20) as spool:
        with pytest.raises(SpoolFull):
            spool.begin(INSTANCE, "1.1", 2 << 20)
        incoming = spool.begin(INSTANCE, "1.1")
        with pytest.raises(SpoolFull):
            for _ in range(20):
                incoming.write(bytes(100_000))
        incoming.abandon()
        assert _files(tmp_path) == []
        _put(spool, "1.2", bytes(700_000))
        with pytest.raises(SpoolFull):
            spool.begin(INSTANCE, "1.3", 400_000)
        _put(spool, "1.4", b"a step goes through", STEP)


def test_a_sender_has_its_own_quota(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        item = _put(spool, "1.1", bytes(900_000), sender="A", sender_quota=1_000_000).item
        with pytest.raises(SpoolFull):
            spool.begin(INSTANCE, "1.2", sender="A", sender_quota=1_000_000)
        _put(spool, "1.3", bytes(900_000), sender="B", sender_quota=1_000_000)
        sending.settle([item], ItemState.DELIVERED)
        spool.begin(INSTANCE, "1.2", sender="A", sender_quota=1_000_000).abandon()


def test_the_reserve_of_the_disk_is_kept(tmp_path: Path) -> None:
    with _receiving(tmp_path, min_free_bytes=1 << 60) as spool:
        for kind in (INSTANCE, STEP):
            with pytest.raises(SpoolFull):
                spool.begin(kind, "1.1")


def test_a_flush_that_fails_takes_the_item_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the file or of its name: the sender is told, nothing stays, room is given back."""

    def fail(_: object) -> None:
        raise StorageError("the disk fails")

    with _receiving(tmp_path, quota_bytes=1 << 20) as spool:
        for owner, name in ((SegmentWriter, "sync"), (SqliteReceivingSpool, "sync_folder")):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, fail)
                with pytest.raises(StorageError, match="the disk fails"):
                    _put(spool, "1.1", bytes(700_000))
            assert (spool.find("1.1"), _files(tmp_path)) == ([], [])
        assert not _put(spool, "1.1", bytes(700_000)).known


def test_nobody_is_told_before_file_name_and_row_are_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its sender nor another one that sends the same; each of the three is waited for."""
    with _receiving(tmp_path) as spool:
        for owner, name in (
            (SegmentWriter, "sync"),
            (SqliteReceivingSpool, "sync_folder"),
            (Database, "write"),
        ):
            inside, go = threading.Event(), threading.Event()
            told: list[Accepted] = []
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, _held(getattr(owner, name), inside, go))
                senders = [
                    threading.Thread(target=_tell, args=(told, spool, name)) for _ in range(2)
                ]
                senders[0].start()
                assert inside.wait(30)
                wait_until_sync(lambda uid=name: spool.find(uid))  # type: ignore[misc]
                senders[1].start()
                time.sleep(0.05)  # for whoever would not wait
                assert told == []
                go.set()
                for sender in senders:
                    sender.join()
            assert sorted(each.known for each in told) == [False, True]


def test_a_file_is_kept_when_it_is_flushed_whole_and_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this gateway vouches for: a row alone is no file."""
    with _receiving(tmp_path) as spool:
        inside, go = threading.Event(), threading.Event()
        with monkeypatch.context() as patch:
            patch.setattr(SegmentWriter, "sync", _held(SegmentWriter.sync, inside, go))
            told: list[Accepted] = []
            sender = threading.Thread(target=_tell, args=(told, spool, "1.1"))
            sender.start()
            assert inside.wait(30)
            wait_until_sync(lambda: spool.find("1.1"))
            (item,) = spool.find("1.1")
            assert spool.is_kept(item) is None, "its row is there, it is being flushed"
            go.set()
            sender.join()
        assert spool.is_kept(item) is True
        _put(spool, "1.2", os.urandom(600_000))
    spoilt, gone = (_file_of(tmp_path, spool, uid) for uid in ("1.2", "1.1"))
    octets = bytearray(spoilt.read_bytes())
    octets[300_000] ^= 1  # its end is as it was: a power cut took what was not flushed
    spoilt.write_bytes(octets)
    with _receiving(tmp_path) as spool:
        one, two = spool.find("1.1")[0], spool.find("1.2")[0]
        assert spool.is_kept(one) is True
        assert spool.is_kept(two) is False
        gone.unlink()
        assert spool.is_kept(one) is False
        assert {each.state for uid in ("1.1", "1.2") for each in spool.find(uid)} == {"damaged"}
        with _sending(tmp_path) as sending:
            sending.settle([one.item], ItemState.DELIVERED)
        assert spool.is_kept(one) is None, "it is another question now"


def _file_of(folder: Path, spool: SqliteReceivingSpool, uid: str) -> Path:
    with Database(folder / "dicom" / "spool.sqlite") as database:
        sql = "SELECT name FROM item WHERE key_hash = ?"
        return spool.file_of(database.value(sql, (spool.key_hash(uid),)))


def test_the_order_of_receipt_is_not_the_wall_clock_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that starts in 1970: its steps are found again in their order."""
    for number, year in enumerate((2026, 1970, 2030, 1970)):
        with monkeypatch.context() as patch:
            now_ns = (year - 1970) * 31_557_600 * 10**9
            patch.setattr("wardlight_edge.spool.receiving.time.time_ns", lambda now=now_ns: now)
            with _receiving(tmp_path) as spool:
                _put(spool, "1.5", b"step %d" % number, STEP)
    for name in ("spool.sqlite", "spool.sqlite-wal", "spool.sqlite-shm"):
        (tmp_path / "dicom" / name).unlink(missing_ok=True)
    with _receiving(tmp_path), _sending(tmp_path) as sending:
        texts = [sending.read(item.item, 0, 99) for item in sending.waiting()]
        assert texts == [b"step %d" % number for number in range(4)]


def _tell(told: list[Accepted], spool: SqliteReceivingSpool, uid: str) -> None:
    told.append(_put(spool, uid, b"abc"))


def _held(true: Any, inside: threading.Event, go: threading.Event) -> Any:
    def call(*arguments: Any) -> Any:
        outcome = true(*arguments)
        inside.set()
        go.wait(30)
        return outcome

    return call


def test_files_made_ready_are_taken_in_turn_and_leave_nothing(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        for _ in range(9):
            spool.prepare()
        ready = _files(tmp_path)
        assert 0 < len(ready) < 9
        _put(spool, "1.1", b"abc")
        assert len({*ready} & {*_files(tmp_path)}) == len(ready) - 1
    (file,) = _files(tmp_path)
    assert file.suffix == ""


def test_without_room_nothing_is_made_ready_and_nobody_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with _receiving(tmp_path) as spool, monkeypatch.context() as patch:
        patch.setattr("wardlight_edge.spool.writer.os.write", full)
        spool.prepare()
        assert _files(tmp_path) == []


def test_a_disk_that_is_full_refuses_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with _receiving(tmp_path) as spool:
        incoming = spool.begin(INSTANCE, "1.1")
        with monkeypatch.context() as patch:
            patch.setattr("wardlight_edge.spool.segments.os.write", full)
            with pytest.raises(SpoolFull):
                incoming.write(bytes(1_000_000))
            incoming.abandon()
            with pytest.raises(SpoolFull):
                spool.begin(INSTANCE, "1.2")
        assert _files(tmp_path) == []
        _put(spool, "1.2", b"abc")


@pytest.mark.parametrize("spoil", ["gone", "cut", "changed"])
def test_a_damaged_file_is_shown_and_healed_by_sending_it_again(tmp_path: Path, spoil: str) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        item = _put(spool, "1.1", b"abc").item
        (file,) = _files(tmp_path)
        _spoil(file, spoil)
        with pytest.raises(StorageError):
            sending.read(item, 0, 3)
        assert sending.waiting() == []
        sending.settle([item], ItemState.REFUSED, "not readable")
        assert spool_counts(spool.database).damaged == 1
        left = file.stat().st_size if file.exists() else 0
        assert spool.room.used_bytes() == left, "the quota counts what is there"
        again = _put(spool, "1.1", b"abc")
        assert not again.known
        assert sending.read(again.item, 0, 3) == b"abc"
        assert spool_counts(spool.database).damaged == 0
        assert len(_files(tmp_path)) == 1


def _spoil(file: Path, how: str) -> None:
    if how == "gone":
        file.unlink()
    elif how == "cut":
        os.truncate(file, 60)
    else:
        octets = bytearray(file.read_bytes())
        octets[45] ^= 1
        file.write_bytes(octets)


def test_a_file_that_vanished_is_not_known(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"abc")
        _files(tmp_path)[0].unlink()
        assert not _put(spool, "1.1", b"abc").known


def test_a_kill_between_file_and_row_loses_nothing_and_shows_nothing_half(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"whole")
        spool.database.write(lambda changes: changes.execute("DELETE FROM item"))
        (tmp_path / "dicom" / "objects" / ("00" * 16 + ".part")).write_bytes(b"half")
    with _receiving(tmp_path), _sending(tmp_path) as sending:
        (item,) = sending.waiting()
        assert item.about["sop_instance"] == "1.1"
        assert sending.read(item.item, 0, 9) == b"whole"
        assert len(_files(tmp_path)) == 1


def test_files_that_the_sweep_cannot_open_are_set_aside(tmp_path: Path) -> None:
    with _receiving(tmp_path):
        (tmp_path / "dicom" / "objects" / ("0a" * 16)).write_bytes(b"not ours")
    assert aside_files(tmp_path) == 0
    with _receiving(tmp_path):
        assert aside_files(tmp_path) == 1
        assert _files(tmp_path) == []


def test_a_good_file_comes_back_whatever_the_disk_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read three times; aside only for its octets; looked at again at each start."""
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"abc")
    aside, pread, left = tmp_path / "dicom" / "aside", os.pread, [0]
    monkeypatch.setattr(segments, "_PAUSES_S", (0.0, 0.0))

    def start(failures: int, number: int) -> tuple[int, int, int]:
        """Entered, aside, files that stay; without a database, on a disk that fails so often."""
        for file in (tmp_path / "dicom").glob("spool.sqlite*"):
            file.unlink()
        left[0] = failures

        def failing(*where: int) -> bytes:
            left[0] -= 1
            if left[0] >= 0:
                raise OSError(number, "it fails")
            return pread(*where)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", failing)
            with _receiving(tmp_path) as spool:
                return len(spool.find("1.1")), aside_files(tmp_path), len(_files(tmp_path))

    assert start(2, errno.EIO) == (1, 0, 1)
    assert start(9, errno.ENOMEM) == (0, 0, 1), "nothing is known of its octets"
    assert start(9, errno.EIO) == (0, 1, 0), "a person sees it"
    (aside / "a note").write_bytes(b"of a person")
    assert start(9, errno.EIO) == (0, 2, 0)
    assert start(0, 0) == (1, 1, 1)


def test_a_row_whose_file_is_gone_is_damaged_at_the_next_start(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"abc")
    _files(tmp_path)[0].unlink()
    with _receiving(tmp_path) as spool:
        assert spool.find("1.1")[0].state is ItemState.DAMAGED
        assert spool.room.used_bytes() == 0
        spool.database.write(lambda changes: changes.execute("UPDATE item SET disk_bytes = 9"))
    with _receiving(tmp_path) as spool:
        assert spool.room.used_bytes() == 0, "also what an older version counted"


def test_a_delivered_file_that_a_kill_left_is_removed(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"abc")
        spool.database.write(lambda changes: changes.execute("UPDATE item SET state = 'delivered'"))
    with _receiving(tmp_path):
        assert _files(tmp_path) == []


@pytest.mark.parametrize("how", ["overwritten", "lost"])
def test_a_lost_database_is_made_again_from_the_files(tmp_path: Path, how: str) -> None:
    """In the order of receipt, under a new identity; the uplink goes on with it."""
    file = tmp_path / "dicom" / "spool.sqlite"
    with _receiving(tmp_path) as spool:
        for number in range(5):
            _put(spool, "1.5", b"step %d" % number, STEP)
    with _sending(tmp_path) as sending:
        before = sending.identity
        file.write_bytes(os.urandom(10_000)) if how == "overwritten" else file.unlink()
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        with _receiving(tmp_path):
            with pytest.raises(StorageError, match="made again"):
                sending.waiting()
            with pytest.raises(StorageError, match="made again"):
                sending.settle([1], ItemState.DELIVERED)  # a receipt for what had that number
            assert sending.identity != before
            items = sending.waiting()
            texts = [sending.read(item.item, 0, 99) for item in items]
            assert texts == [b"step %d" % number for number in range(5)]


def test_another_key_is_refused_in_words(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.1", b"abc")
    with (
        pytest.raises(ConfigError, match="another key"),
        open_receiving(tmp_path, bytes(32), DicomSettings()),
    ):
        pass
    with pytest.raises(ConfigError, match="another key"):
        open_sending(tmp_path, bytes(32))


def test_one_process_receives(tmp_path: Path) -> None:
    with (
        _receiving(tmp_path),
        pytest.raises(ConfigError, match="another process"),
        _receiving(tmp_path),
    ):
        pass


def test_there_is_nothing_to_send_before_anything_was_received(tmp_path: Path) -> None:
    assert open_sending(tmp_path, KEY) is None


def test_counts_and_forgetting(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        items = [_put(spool, f"1.{number}", b"abc").item for number in range(4)]
        sending.settle(items[:2], ItemState.DELIVERED)
        sending.settle([items[2]], ItemState.REFUSED)
        counts = spool_counts(spool.database)
        assert counts == SpoolCounts(
            waiting=1, waiting_bytes=3, oldest_ms=counts.oldest_ms, refused=1, delivered=2,
            disk_bytes=spool.room.used_bytes(),
        )  # fmt: skip
        assert counts.oldest_ms is not None
        assert spool.forget(1_000, 10) == 0, "met for the first time"
        assert spool.forget(1_009, 10) == 0
        assert spool.forget(1_010, 10) == 2
        assert spool_counts(spool.database).delivered == 0


def test_what_was_delivered_is_asked_about(tmp_path: Path) -> None:
    """Over a new start, and remembered from then on; nothing else is asked about."""
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        items = [_put(spool, f"1.{number}", b"abc").item for number in range(5)]
        step = _put(spool, "1.0", b"create", STEP).item
        sending.settle([*items[:2], step], ItemState.DELIVERED)
        sending.settle([items[2]], ItemState.DELIVERED, "set aside: parse")
        sending.settle([items[3]], ItemState.REFUSED, "no")
        assert spool.forget(1_000, 10) == 0
        spool.ask_again([f"1.{number}" for number in range(5)])
        assert [each.item for each in sending.waiting(state=ItemState.ASKED)] == items[:2]
        assert [each.item for each in sending.waiting()] == [items[4]]
        counts = spool_counts(spool.database)
        assert (counts.delivered, counts.cloud_aside) == (3, {"parse": 1})
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        assert [each.item for each in sending.waiting(state=ItemState.ASKED)] == items[:2]
        assert spool.forget(1_010, 10) == 2, "who is asked about is not forgotten"
        sending.settle([items[0]], ItemState.DELIVERED)
        sending.settle([items[1]], ItemState.DAMAGED, "it is there no more")
        assert spool.forget(1_011, 10) == 0, "met anew"
        assert spool.forget(1_021, 10) == 1
        again = _put(spool, "1.1", b"abc")
        assert not again.known
        assert sending.read(again.item, 0, 9) == b"abc"
        assert [each.item for each in spool.find("1.1")] == [again.item]


def test_a_row_that_is_asked_about_and_does_not_open_is_damaged(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as sending:
        item = _put(spool, "1.1", b"abc").item
        sending.settle([item], ItemState.DELIVERED)
        spool.ask_again(["1.1"])
        spool.database.write(
            lambda changes: changes.execute(
                "UPDATE item SET sealed = x'00' WHERE item = ?", (item,)
            )
        )
        assert sending.waiting(state=ItemState.ASKED) == []
        assert spool_counts(spool.database).damaged == 1


def test_the_database_shows_no_uid_and_no_title(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool:
        _put(spool, "1.2.840.99999.1", b"abc", sender="MODALITY-7")
    for file in (tmp_path / "dicom").rglob("*"):
        octets = file.read_bytes() if file.is_file() else b""
        assert b"99999" not in octets, file.name
        assert b"MODALITY-7" not in octets, file.name
        assert b"CT1" not in octets, file.name


def test_a_file_that_came_to_harm_is_not_known(tmp_path: Path) -> None:
    """The copy that comes again is kept: it may be the only good one."""
    with _receiving(tmp_path) as spool:
        first = _put(spool, "1.1", b"abc" * 1000)
        (file,) = _files(tmp_path)
        octets = bytearray(file.read_bytes())
        octets[100] ^= 1
        file.write_bytes(octets)
        again = _put(spool, "1.1", b"abc" * 1000)
        assert not again.known
        assert again.item != first.item
        (found,) = spool.find("1.1")
        assert (found.item, found.state) == (again.item, ItemState.WAITING)
