"""The uplink's side of a spool whose database was set aside meanwhile: numbers are of one database.

Any of its calls may be the first that meets the new one, and any may have begun before.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.imaging_gateway import KEY
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool import damage
from wardlight_edge.spool.attention import Attention
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.opening import open_receiving, open_sending
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError


def _receive(folder: Path, *uids: str) -> None:
    with open_receiving(folder, KEY, DicomSettings(min_free_bytes=0)) as spool:
        for uid in uids:
            _put(spool, uid)


def _put(spool: SqliteReceivingSpool, uid: str) -> None:
    incoming = spool.begin(BlobKind.INSTANCE, uid)
    incoming.write(uid.encode())
    incoming.accept({"sop_instance": uid, "sop_class": "1.9"})


def _lost(folder: Path) -> None:
    """The database is gone, and what it knew: the next one counts anew."""
    for file in (folder / "dicom").glob("spool.sqlite*"):
        file.unlink()


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[SqliteSendingSpool]:
    """1.1 is refused and dropped, 1.2 is number 2, 1.3 is number 3."""
    _receive(tmp_path, "1.1", "1.2", "1.3")
    spool = open_sending(tmp_path, KEY)
    assert spool is not None
    yield spool
    spool.close()


def _number(spool: SqliteSendingSpool, uid: str) -> int:
    (found,) = [each for each in spool.waiting() if each.about["sop_instance"] == uid]
    return found.item


def test_octets_of_a_number_are_never_another_object_s(
    tmp_path: Path, sending: SqliteSendingSpool
) -> None:
    """Also where another call has opened the new database, and where its file is open still."""
    assert sending.identity
    two, three = _number(sending, "1.2"), _number(sending, "1.3")
    assert sending.read(two, 0, 9) == b"1.2"
    _lost(tmp_path)
    (tmp_path / "dicom" / "objects" / _name(sending, "1.1")).unlink()
    _receive(tmp_path)
    assert sending.dropped() == [], "it is the first that meets the new one"
    for number in (two, three):
        with pytest.raises(StorageError, match="made again"):
            sending.read(number, 0, 9)
    assert sending.identity
    assert {sending.read(each.item, 0, 9) for each in sending.waiting()} == {b"1.2", b"1.3"}
    for each in sending.waiting():
        assert sending.read(each.item, 0, 9) == str(each.about["sop_instance"]).encode()
    assert _number(sending, "1.2") != two


def _name(spool: SqliteSendingSpool, uid: str) -> str:
    number = _number(spool, uid)
    return bytes(spool.database.value("SELECT name FROM item WHERE item = ?", (number,))).hex()


def test_damage_of_a_file_is_noted_of_its_own_item(
    tmp_path: Path, sending: SqliteSendingSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new database is opened between the read that found it and the note."""
    assert sending.identity
    two = _number(sending, "1.2")
    file = tmp_path / "dicom" / "objects" / _name(sending, "1.2")
    kept = file.read_bytes()
    file.write_bytes(kept[:50])
    true = damage.disk_bytes

    def swapped(path: Path) -> int:
        file.unlink()
        _lost(tmp_path)
        _receive(tmp_path, "1.4", "1.5")
        sending.dropped()
        return true(path)

    with monkeypatch.context() as patch:
        patch.setattr(damage, "disk_bytes", swapped)
        with pytest.raises(StorageError):
            sending.read(two, 0, 9)
    assert sending.identity
    assert two in [each.item for each in sending.waiting()]
    assert len(sending.waiting()) == 4


def test_what_waits_is_of_the_database_that_was_asked(
    tmp_path: Path, sending: SqliteSendingSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread opens the new one between two looks."""
    assert sending.identity
    true = sending.database.value

    def swapped(sql: str) -> object:
        found = true(sql)
        _lost(tmp_path)
        _receive(tmp_path)
        sending.database.refresh()
        return found

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="made again"):
        patch.setattr(sending.database, "value", swapped)
        sending.waiting()
    assert sending.identity
    assert len(sending.waiting()) == 3


def test_a_receipt_that_comes_late_settles_nothing_in_the_new_database(
    tmp_path: Path, sending: SqliteSendingSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has it asked for the old one, and another one has asked since."""
    assert sending.identity
    two = _number(sending, "1.2")
    true = Database.refresh

    def late(self: Database) -> None:
        monkeypatch.setattr(Database, "refresh", true)
        _lost(tmp_path)
        _receive(tmp_path)
        self.refresh()
        assert sending.identity

    monkeypatch.setattr(Database, "refresh", late)
    with pytest.raises(StorageError, match="made again"):
        sending.settle([two], ItemState.DELIVERED)
    assert len(sending.waiting()) == 3


def test_a_loss_is_told_of_the_database_that_it_was_read_from(
    tmp_path: Path, sending: SqliteSendingSpool
) -> None:
    """Told twice where it was carried over; the one that has its number now is not forgotten."""
    _drop_one(tmp_path, sending)
    (first,) = sending.dropped()
    sending.told([])
    _lost(tmp_path)
    _receive(tmp_path)
    _drop_one(tmp_path, sending)
    sending.database.refresh()  # as another call does
    with pytest.raises(StorageError, match="once more"):
        sending.told([first.number])
    (other,) = sending.dropped()
    assert (other.number, other != first) == (first.number, True)
    sending.told([first.number])
    assert sending.dropped() == []


def _drop_one(folder: Path, sending: SqliteSendingSpool) -> None:
    with Database(folder / "dicom" / "spool.sqlite") as database:
        database.write(
            lambda changes: changes.execute(
                "UPDATE item SET state = 'refused' WHERE item = 1 AND state = 'waiting'"
            )
        )
        Attention(database, sending.sealer, KEY).drop("1")


def test_a_database_that_is_just_being_made_has_no_items_yet(
    tmp_path: Path, sending: SqliteSendingSpool
) -> None:
    """A kill may leave it so: the uplink is told, and tries again."""
    assert sending.identity
    two = _number(sending, "1.2")
    _lost(tmp_path)
    Database(tmp_path / "dicom" / "spool.sqlite").close()
    sending.database.refresh()
    for call in (
        lambda: sending.identity,
        sending.waiting,
        lambda: sending.read(two, 0, 9),
        lambda: sending.settle([two], ItemState.DELIVERED),
        lambda: sending.told([1]),
    ):
        with pytest.raises(StorageError):
            call()
