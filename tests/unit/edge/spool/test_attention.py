"""What a spool keeps back is listed without names, and can be given another try."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.imaging_gateway import KEY
from wardlight_cloud.private_file import write_private
from wardlight_edge.cli import main
from wardlight_edge.dicom.commitment_rules import Verdict, verdict
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.attention import STATES, Attention
from wardlight_edge.spool.base import Accepted, ItemState
from wardlight_edge.spool.commitments import Asker, CommitmentState, CommitmentTable, Reference
from wardlight_edge.spool.counts import CLOUD_ASIDE_COUNTED, spool_counts
from wardlight_edge.spool.database import Transaction
from wardlight_edge.spool.opening import open_receiving, open_sending
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import ConfigError, StorageError

UID = "1.2.276.0.7230010.3.1.4.99999"
KEPT_BACK = STATES[1:-1]


@contextmanager
def _receiving(folder: Path) -> Iterator[SqliteReceivingSpool]:
    with open_receiving(folder, KEY, DicomSettings(min_free_bytes=0)) as spool:
        yield spool


@contextmanager
def _sending(folder: Path) -> Iterator[tuple[SqliteSendingSpool, Attention]]:
    spool = open_sending(folder, KEY)
    assert spool is not None
    try:
        yield spool, Attention(spool.database, spool.sealer, KEY)
    finally:
        spool.close()


def _put(folder: Path, *uids: str) -> None:
    with _receiving(folder) as spool:
        for uid in uids:
            incoming = spool.begin(BlobKind.INSTANCE, uid, sender="SECRETAE")
            incoming.write(uid.encode() * 1000)
            incoming.accept({"sop_instance": uid, "calling_ae": "SECRETAE"})


def _told(attention: Attention, *states: str) -> list[tuple[str, str, str]]:
    found = attention.entries(states or KEPT_BACK)
    return [(each.entry, each.state, each.why) for each in found]


def test_a_refused_item_is_listed_and_offered_again(tmp_path: Path) -> None:
    _put(tmp_path, UID, UID + "8")
    with _sending(tmp_path) as (spool, attention):
        spool.settle([1], ItemState.REFUSED, "too large for this site")
        assert _told(attention) == [("1", "refused", "too large for this site")]
        assert _told(attention, "waiting") == [("2", "waiting", "on its way")]
        assert "another" not in attention.retry("1")
        assert _told(attention) == []
        assert [each.item for each in spool.waiting()] == [1, 2]
        for nothing in ("1", "99", "event-1", "commitment-1", "aside-00", "x", "", "-1"):
            with pytest.raises(ConfigError):
                attention.retry(nothing)


def test_what_the_cloud_set_aside_is_told_with_its_reason_and_taken_off_the_list(
    tmp_path: Path,
) -> None:
    _put(tmp_path, UID, UID + "8", UID + "9", UID + "7")
    with _receiving(tmp_path) as receiving, _sending(tmp_path) as (spool, attention):
        spool.settle([1, 3], ItemState.DELIVERED, "set aside: uid")
        spool.settle([2], ItemState.DELIVERED)
        spool.settle([4], ItemState.DELIVERED, "set aside: cut")
        counts = spool_counts(spool.database)
        assert (counts.delivered, counts.cloud_aside) == (1, {"uid": 2, "cut": 1})
        assert [each[:2] for each in _told(attention)] == [
            ("1", "cloud-aside"), ("3", "cloud-aside"), ("4", "cloud-aside"),
        ]  # fmt: skip
        assert "UID is missing or no UID" in _told(attention)[0][2]
        with pytest.raises(ConfigError, match="sent again"):
            attention.retry("1")
        assert "off this gateway's list" in attention.drop("1")
        assert spool.dropped() == [], "it is not lost: the cloud keeps it"
        assert [each[0] for each in _told(attention)] == ["3", "4"]
        found = receiving.find(UID)
        assert verdict(Reference("1.9", UID), found, "cloud", lambda _: True) > 0
        with pytest.raises(ConfigError, match="only what is kept back"):
            attention.drop("2")
        assert spool_counts(spool.database).cloud_aside == {"uid": 1, "cut": 1}
        plan = spool.database.rows(f"EXPLAIN QUERY PLAN {CLOUD_ASIDE_COUNTED}")
        assert "item_cloud_aside" in str(plan), "status is written every two seconds"


def test_a_damaged_item_is_offered_again_once_it_can_be_read(tmp_path: Path) -> None:
    _put(tmp_path, UID)
    (file,) = (tmp_path / "dicom" / "objects").iterdir()
    octets = file.read_bytes()
    file.write_bytes(octets[:300] + b"X" + octets[301:])
    with _sending(tmp_path) as (spool, attention):
        with pytest.raises(StorageError):
            spool.read(1, 0, 100)
        assert [each[:2] for each in _told(attention)] == [("1", "damaged")]
        with pytest.raises(ConfigError, match="send it again"):
            attention.retry("1")
        file.unlink()
        with pytest.raises(ConfigError, match="send it again"):
            attention.retry("1")
        file.write_bytes(octets)
        attention.retry("1")
        assert [each.item for each in spool.waiting()] == [1]


def test_a_file_that_was_set_aside_comes_back_once_it_opens(tmp_path: Path) -> None:
    _put(tmp_path, UID)
    (file,) = (tmp_path / "dicom" / "objects").iterdir()
    octets = file.read_bytes()
    for name in ("spool.sqlite", "spool.sqlite-wal", "spool.sqlite-shm"):
        (tmp_path / "dicom" / name).unlink(missing_ok=True)
    file.write_bytes(octets[:-1])
    with _receiving(tmp_path), _sending(tmp_path) as (_, attention):
        ((entry, state, _),) = _told(attention)
        assert (entry, state) == (f"aside-{file.name[:12]}", "aside")
        with pytest.raises(ConfigError, match="still does not open"):
            attention.retry(entry)
        (tmp_path / "dicom" / "aside" / file.name).write_bytes(octets)
        attention.retry(entry)
    with _receiving(tmp_path) as spool:
        (item,) = spool.find(UID)
        assert item.state is ItemState.WAITING


def test_services_rows_are_listed_and_tried_again(tmp_path: Path) -> None:
    with _receiving(tmp_path) as spool, _sending(tmp_path) as (_, attention):
        steps = StepTable(spool.database, spool.sealer)
        event = StepEvent(UID, "create", "SECRETAE", "W", "192.0.2.1", 1, b"file")
        assert steps.put(StepState("IN PROGRESS", 1, b"step"), event, 1)
        commitments = CommitmentTable(spool.database, spool.sealer)
        for number in (1, 2):
            asker = Asker(f"1.{number}", "CT1", "W", "192.0.2.1")
            commitments.put(asker, [Reference("1.9", UID)], received_ms=5, now_ms=5)
        commitments.settle(1, CommitmentState.GIVEN_UP)

        def swap(changes: Transaction) -> bytes:
            sealed: bytes = changes.value("SELECT sealed FROM step_event")
            changes.execute("UPDATE step_event SET sealed = x'00'")
            return sealed

        sealed = spool.database.write(swap)
        assert steps.waiting() == []
        assert [each[:2] for each in _told(attention)] == [
            ("commitment-1", "given-up"), ("event-1", "aside"),
        ]  # fmt: skip
        spool.database.write(
            lambda changes: changes.execute("UPDATE step_event_aside SET sealed = ?", (sealed,))
        )
        attention.retry("event-1")
        attention.retry("commitment-1")
        assert _told(attention) == []
        assert [each.event.sop_instance for each in steps.waiting()] == [UID]
        assert [each.number for each in commitments.due(5)] == [1, 2]


def test_what_is_dropped_is_gone_its_room_is_free_and_the_cloud_is_told(tmp_path: Path) -> None:
    _put(tmp_path, UID, UID + "8", UID + "9")
    with _receiving(tmp_path) as receiving, _sending(tmp_path) as (spool, attention):
        objects, aside = tmp_path / "dicom" / "objects", tmp_path / "dicom" / "aside"
        spool.settle([1], ItemState.REFUSED, "no")
        name = spool.database.value("SELECT name FROM item WHERE item = 2")
        (objects / name.hex()).unlink()
        with pytest.raises(StorageError):
            spool.read(2, 0, 1)
        aside.mkdir()
        (aside / ("ab" * 16)).write_bytes(b"spoilt")
        spool.database.write(
            lambda changes: changes.execute(
                "INSERT INTO step_event_aside VALUES (4, x'00', x'0000', 5)"
            )
        )
        assert [each[0] for each in _told(attention)] == ["event-4", "1", "2", "aside-abababababab"]
        for entry in ("1", "2", "aside-abababababab", "event-4"):
            assert "told" in attention.drop(entry)
            with pytest.raises(ConfigError):
                attention.drop(entry)
        with pytest.raises(ConfigError, match="it is waiting"):
            attention.drop("3")
        assert _told(attention) == []
        assert [each[:2] for each in _told(attention, "dropped")] == [
            ("1", "dropped"),
            ("2", "dropped"),
        ]
        (left,) = [each for each in objects.iterdir() if each.suffix == ""]
        assert receiving.room.used_bytes() == left.stat().st_size
        assert list(aside.iterdir()) == []
        told = spool.dropped()
        assert [each.kind for each in told] == ["image"] * 3 + ["procedure step"]
        spool.told([each.number for each in told[:3]])
        assert [each.kind for each in spool.dropped()] == ["procedure step"]
        # A modality that asks is told the truth, and may send it again.
        (found,) = receiving.find(UID)
        reference = Reference("1.9", UID)
        assert verdict(reference, [found], "cloud", receiving.is_kept) is Verdict.NO_SUCH_INSTANCE
        spool.settle([1], ItemState.REFUSED, "late")
        assert receiving.find(UID)[0].state is ItemState.DROPPED
        for octets, is_same in ((b"other", False), (UID.encode() * 1000, True)):
            incoming = receiving.begin(BlobKind.INSTANCE, UID)
            incoming.write(octets)
            assert incoming.accept({"sop_instance": UID}) == Accepted(4 + is_same, False, is_same)
        assert [each.state for each in receiving.find(UID)] == ["waiting", "waiting"]
    with _receiving(tmp_path) as receiving:
        assert receiving.forget(0, 10) == 0
        assert receiving.forget(10, 10) == 1, "the other tombstone goes when it is old"


def test_the_commands_name_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        f'gateway = "gw-1"\ndata_dir = "{tmp_path}"\nprofiles_dir = "{tmp_path}"\n'
        '[uplink]\nhost = "-"\nca_file = "-"\ncert_file = "-"\nkey_file = "-"\n'
    )
    assert main(["dicom", "items", "--config", str(config)]) == 2
    assert "has taken no images" in capsys.readouterr().err
    write_private(tmp_path / "outbox.key", KEY.hex() + "\n")
    _put(tmp_path, UID)
    with _sending(tmp_path) as (spool, _):
        spool.settle([1], ItemState.REFUSED, "too large for this site")
    call = ["dicom", "--config", str(config)]
    assert main([*call, "items"]) == 0
    text = capsys.readouterr().out
    assert "refused" in text
    assert "image: too large for this site" in text
    assert main([*call, "items", "--state", "refused", "--json"]) == 0
    told = capsys.readouterr().out
    assert [each["entry"] for each in json.loads(told)] == ["1"]
    for octets in (UID, "SECRETAE"):
        assert octets not in text + told
    assert main([*call, "retry", "1", "7"]) == 1
    said = capsys.readouterr()
    assert "1: it is offered" in said.out
    assert "7: no item" in said.err
    assert main([*call, "items"]) == 0
    assert capsys.readouterr().out == "nothing\n"
    assert main([*call, "drop", "1", "database-5"]) == 1
    said = capsys.readouterr()
    assert "1: it is waiting: only what is kept back can be dropped" in said.err
    assert "database-5: no database" in said.err
    with _sending(tmp_path) as (spool, _):
        spool.settle([1], ItemState.REFUSED, "too large for this site")
    assert main([*call, "drop", "1"]) == 0
    assert "1: dropped" in capsys.readouterr().out
    assert main([*call, "items", "--state", "dropped"]) == 0
    told = capsys.readouterr().out
    assert "given up by a person; it was refused: too large for this site" in told
    assert UID not in told
