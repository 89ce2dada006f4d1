"""What one sender may have beside its images is bounded, and the disk's reserve is left alone."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydicom.dataset import Dataset

from support.imaging_gateway import KEY
from support.manual_clock import ManualClock
from support.modality import STEP_CLASS, begun, ended
from wardlight_edge.dicom.base import Peer, Request
from wardlight_edge.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from wardlight_edge.dicom.commitment_report import Reporter
from wardlight_edge.dicom.data_sets import EXPLICIT_LITTLE, written
from wardlight_edge.dicom.services import open_services
from wardlight_edge.dicom.tally import Tally
from wardlight_edge.imaging_settings import DicomSettings, PeerSettings
from wardlight_edge.spool import bounds
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.commitments import (
    Asker,
    CommitmentState,
    CommitmentTable,
    PutOutcome,
    Reference,
)
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.opening import open_receiving
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable, files_of
from wardlight_shared.blobs import BlobKind

PEER = Peer("CT1", "WARDLIGHT", "192.0.2.7")
RESOURCE_LIMITATION = 0x0213
IN_PROGRESS, COMPLETED = "IN PROGRESS", "COMPLETED"


@contextmanager
def _receiving(folder: Path, **changes: Any) -> Iterator[SqliteReceivingSpool]:
    settings = DicomSettings(**{"min_free_bytes": 0, **changes})
    with open_receiving(folder, KEY, settings) as spool:
        yield spool


def _bound(patch: pytest.MonkeyPatch, name: str, **changes: int) -> None:
    patch.setattr(bounds, name, msgspec.structs.replace(getattr(bounds, name), **changes))


class Requests:
    """Requests for commitment by their transactions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.table = CommitmentTable(database, Sealer(KEY))

    def ask(self, transaction: str, calling_ae: str = "CT1", instances: int = 1) -> PutOutcome:
        asker = Asker(transaction, calling_ae, "W", "192.0.2.1")
        references = [Reference("1.9", f"1.8.{number}") for number in range(instances)]
        return self.table.put(asker, references, received_ms=1, now_ms=0)

    def open(self) -> list[str]:
        return [each.asked.transaction for each in self.table.due(1 << 60, 1000)]

    def settle(self, transaction: str, state: CommitmentState) -> None:
        (found,) = [e for e in self.table.due(1 << 60) if e.asked.transaction == transaction]
        decided = self.table.decide(found, [0] * found.instances, 0)
        self.table.settle(decided.number, state)

    def octets(self) -> int:
        return int(self.database.value("SELECT coalesce(sum(octets), 0) FROM held"))


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[Requests]:
    with Database(tmp_path / "spool.sqlite") as database:
        yield Requests(database)


def test_a_requester_has_so_many_requests_and_no_other_one_less(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are over make room, the oldest first; those that are open never do."""
    _bound(monkeypatch, "COMMITMENTS", entries=3)
    for number in range(3):
        requests.ask(f"1.{number}")
    with pytest.raises(SpoolFull, match="one sender are 3"):
        requests.ask("1.3")
    assert requests.ask("1.2") is PutOutcome.KNOWN, "it is held already"
    requests.ask("1.3", "MR1")
    requests.settle("1.1", CommitmentState.REPORTED)
    requests.settle("1.0", CommitmentState.GIVEN_UP)
    assert requests.ask("1.4") is PutOutcome.NEW
    assert requests.ask("1.1") is PutOutcome.KNOWN, "the older one was forgotten, it is open again"
    with pytest.raises(SpoolFull):
        requests.ask("1.5")
    assert sorted(requests.open()) == ["1.1", "1.2", "1.3", "1.4"]


def test_a_requester_has_so_many_octets(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was reported takes none; what was given up gives its octets back when need be."""
    requests.ask("1.9")
    requests.settle("1.9", CommitmentState.REPORTED)
    requests.ask("1.0", instances=100)
    one = requests.octets()
    assert one > 1000
    _bound(monkeypatch, "COMMITMENTS", octets=3 * one - 1)
    requests.ask("1.1", instances=100)
    for _ in range(2):
        with pytest.raises(SpoolFull, match="take up all the room"):
            requests.ask("1.2", instances=100)
    assert requests.octets() == 2 * one
    requests.ask("1.2", "MR1", instances=100)
    requests.settle("1.0", CommitmentState.REPORTED)
    assert requests.octets() == 2 * one
    assert requests.database.value("SELECT count(*) FROM commitment_page") == 2
    assert requests.ask("1.3", instances=100) is PutOutcome.NEW
    with pytest.raises(SpoolFull):
        requests.ask("1.0", instances=100)
    requests.settle("1.1", CommitmentState.GIVEN_UP)
    assert requests.ask("1.0", instances=100) is PutOutcome.KNOWN
    assert sorted(requests.open()) == ["1.0", "1.2", "1.3"]
    assert requests.octets() == 3 * one
    assert requests.ask("1.9", instances=2) is PutOutcome.DIFFERS, "it gave no room, and stays"


def test_a_report_that_was_taken_is_asked_for_again_whole(requests: Requests) -> None:
    """Its instances were removed: they come with the request."""
    requests.ask("1.0", instances=1000)
    requests.settle("1.0", CommitmentState.REPORTED)
    assert requests.database.value("SELECT count(*) FROM commitment_page") == 0
    assert requests.ask("1.0", instances=999) is PutOutcome.DIFFERS
    assert requests.ask("1.0", instances=1000) is PutOutcome.KNOWN
    (found,) = requests.table.due(1 << 60)
    assert not found.is_decided
    assert sum(map(len, requests.table.references(found))) == 1000


def _put(
    table: StepTable, uid: str, event: int, status: str, octets: int, calling_ae: str = "CT1"
) -> bool:
    kept = StepEvent(uid, "set", calling_ae, "W", "192.0.2.1", 1, b"f" * octets)
    is_over = status == COMPLETED
    state = StepState(status, event, b"s" * (9 if is_over else octets), is_over=is_over)
    return table.put(state, kept, 0)


def test_a_sender_has_so_many_steps_that_are_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bound(monkeypatch, "STEPS", entries=3, octets=1000)
    with Database(tmp_path / "spool.sqlite") as database:
        table = StepTable(database, Sealer(KEY))
        for number in range(3):
            assert _put(table, f"1.{number}", 1, IN_PROGRESS, 300)
        with pytest.raises(SpoolFull, match="steps of one sender are 3"):
            _put(table, "1.3", 1, IN_PROGRESS, 10)
        with pytest.raises(SpoolFull, match="take up all the room"):
            _put(table, "1.0", 2, IN_PROGRESS, 401)
        assert _put(table, "1.3", 1, IN_PROGRESS, 300, "MR1")
        assert _put(table, "1.0", 2, COMPLETED, 300)
        assert _put(table, "1.4", 1, IN_PROGRESS, 400), "the one that is over made room"
        assert table.find("1.0") is None
        assert [table.find(f"1.{each}") is None for each in (1, 2, 3, 4)] == [False] * 4
        found = table.find("1.4")
        assert found is not None
        assert found.attributes == b"s" * 400


def test_a_sender_has_so_many_events_that_wait_and_their_files_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _receiving(tmp_path) as spool:
        table = StepTable(spool.database, spool.sealer)
        _bound(monkeypatch, "EVENTS", entries=2)
        assert _put(table, "1.0", 1, IN_PROGRESS, 300)
        assert _put(table, "1.0", 2, IN_PROGRESS, 300)
        with pytest.raises(SpoolFull, match="events of procedure steps"):
            _put(table, "1.0", 3, IN_PROGRESS, 300)
        assert _put(table, "1.1", 1, IN_PROGRESS, 300, "MR1")
        for each in table.waiting():
            table.queued(each.number)
        incoming = spool.begin(BlobKind.STEP, "1.0", sender=files_of("CT1"))
        incoming.write(bytes(5000))
        incoming.accept({})
        _bound(monkeypatch, "EVENTS", octets=5400)
        with pytest.raises(SpoolFull, match="take up all the room"):
            _put(table, "1.0", 3, IN_PROGRESS, 300)
        assert _put(table, "1.1", 2, IN_PROGRESS, 300, "MR1")
        assert spool.room.used_bytes(spool.sender_hash("CT1")) == 0, "no image of it"


def test_the_files_of_tiny_objects_are_left_to_others_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may have octets free and no file; 0 of 0: it makes them as it goes."""
    true = os.statvfs

    def counted(most: int, left: int) -> Any:
        def call(path: Path) -> Any:
            found = list(true(path))
            found[5], found[7] = most, left
            return os.statvfs_result(found)

        return call

    with _receiving(tmp_path) as spool:
        for most, left, is_taken in (
            (100_000, 2047, False),
            (100_000, 2048, True),
            (1000, 49, False),
            (1000, 50, True),
            (0, 0, True),
        ):
            monkeypatch.setattr("wardlight_edge.spool.room.os.statvfs", counted(most, left))
            if is_taken:
                spool.begin(BlobKind.INSTANCE, "1.1").abandon()
                continue
            with pytest.raises(SpoolFull, match="hardly make files"):
                spool.begin(BlobKind.INSTANCE, "1.1")


def _request(field: int, uid: str, data_set: Dataset) -> Request:
    command = Dataset()
    command.CommandField = field
    if field == 0x0130:
        command.RequestedSOPClassUID = COMMITMENT_CLASS
        command.RequestedSOPInstanceUID = COMMITMENT_INSTANCE
        command.ActionTypeID = 1
        return Request(COMMITMENT_CLASS, EXPLICIT_LITTLE, command, written(data_set))
    if field == 0x0140:
        command.AffectedSOPInstanceUID = uid
    else:
        command.RequestedSOPInstanceUID = uid
    return Request(STEP_CLASS, EXPLICIT_LITTLE, command, written(data_set))


def _action() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.9", "1.8"
    action = Dataset()
    action.TransactionUID, action.ReferencedSOPSequence = "1.7", [item]
    return action


def test_at_the_reserve_of_the_disk_requests_are_refused_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N-CREATE, N-SET and N-ACTION: what was taken before is known, and goes on."""
    monkeypatch.setattr(Reporter, "send_due", lambda _: None)  # it would call
    peers = (PeerSettings(calling_ae="CT1", networks=("192.0.2.7",), report_host="192.0.2.7"),)
    tally, clock = Tally(), ManualClock()
    asked = [(0x0140, "1.1", begun()), (0x0130, "", _action())]
    for reserve, refused, statuses in (
        (0, 0, [0, 0]),
        (1 << 60, 2, [RESOURCE_LIMITATION, 0]),  # the same request for commitment is held
    ):
        settings = DicomSettings(min_free_bytes=reserve, peers=peers)
        with (
            open_receiving(tmp_path, KEY, settings) as spool,
            open_services(settings, spool, clock, refused=tally.refused) as opened,
        ):
            by_class = {uid: each for each in opened.services for uid in each.sop_classes}
            told = []
            for field, uid, data_set in asked:
                request = _request(field, uid, data_set)
                (reply,) = by_class[request.abstract_syntax].answer(PEER, request, lambda: False)
                told.append(reply.status)
            assert told == statuses
            if refused:
                action = _action()
                action.TransactionUID = "1.6"
                request = _request(0x0130, "", action)
                (reply,) = by_class[COMMITMENT_CLASS].answer(PEER, request, lambda: False)
                assert reply.status == RESOURCE_LIMITATION
            assert tally.counts().refused == refused
        asked[0] = (0x0120, "1.1", ended())
    trouble = tally.counts().last_trouble
    assert trouble is not None
    assert "min_free_bytes" in trouble


def test_of_a_step_that_is_over_only_that_is_kept(tmp_path: Path) -> None:
    """It may no longer be updated, and takes hardly any room."""
    settings = DicomSettings(min_free_bytes=0)
    with (
        open_receiving(tmp_path, KEY, settings) as spool,
        open_services(settings, spool, ManualClock()) as opened,
    ):
        by_class = {uid: each for each in opened.services for uid in each.sop_classes}
        statuses = []
        for field, data_set in ((0x0140, begun()), (0x0120, ended()), (0x0120, ended())):
            request = _request(field, "1.1", data_set)
            (reply,) = by_class[STEP_CLASS].answer(PEER, request, lambda: False)
            statuses.append(reply.status)
        assert statuses == [0, 0, 0x0110]
        assert reply.command is not None
        assert reply.command.ErrorID == 0xA710
        found = StepTable(spool.database, spool.sealer).find("1.1")
        assert found is not None
        assert len(found.attributes) < 100
        files = spool.room.used_bytes(spool.sender_hash(files_of("CT1")))
        assert files == spool.room.used_bytes() > 0
        held = "SELECT entries, octets FROM held WHERE subject = 'step'"
        assert spool.database.rows(held) == [(1, 0)]


def test_a_file_of_version_2_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose requests and steps they are was not noted: they count for nobody."""
    with Database(tmp_path / "spool.sqlite") as database:
        requests, steps = Requests(database), StepTable(database, Sealer(KEY))
        requests.ask("1.0", instances=1000)
        assert _put(steps, "1.1", 1, IN_PROGRESS, 300)
    path = tmp_path / "of version 2"
    _of_version_2(path, tmp_path / "spool.sqlite")
    with Database(path) as database:
        requests, steps = Requests(database), StepTable(database, Sealer(KEY))
        assert requests.octets() == 0
        (found,) = requests.table.due(1 << 60)
        assert sum(map(len, requests.table.references(found))) == 1000
        assert [each.event.sop_instance for each in steps.waiting()] == ["1.1"]
        with monkeypatch.context() as patch:
            _bound(patch, "STEPS", entries=1, octets=100)
            assert _put(steps, "1.1", 2, IN_PROGRESS, 300)
            assert _put(steps, "1.1", 3, IN_PROGRESS, 400)
        steps.queued(steps.waiting()[0].number)
        requests.settle("1.0", CommitmentState.REPORTED)
        assert requests.ask("1.0", instances=1000) is PutOutcome.KNOWN
        requests.ask("1.2", instances=1000)
        sums = database.rows(
            "SELECT subject, entries FROM held WHERE sender <> x'' ORDER BY subject"
        )
        assert sums == [("commitment", 1), ("step_event", 2)]
        assert requests.table.forget(1) == 0
        assert steps.forget(1) == 1


def _of_version_2(file: Path, source: Path) -> None:
    """The tables as they were then, with what is in those of ``source``."""
    folder = Path(bounds.__file__).parent
    scripts = [
        (folder / name).read_text(encoding="utf-8") for name in ("items.sql", "services.sql")
    ]
    scripts[1] = scripts[1][: scripts[1].index("CREATE TABLE IF NOT EXISTS held")]
    bare = re.sub(r" *--.*", "", "\n".join(scripts))
    then, count = re.subn(r",\n +sender [^\n]*\n +octets [^\n]*", "", bare)
    assert count == 3
    with closing(sqlite3.connect(file, isolation_level=None)) as made:
        made.executescript(then)
        made.execute("ATTACH ? AS source", (str(source),))
        for (table,) in made.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            " AND name NOT IN ('usage', 'tally')"
        ).fetchall():
            columns = ", ".join(row[1] for row in made.execute(f"PRAGMA main.table_info({table})"))
            made.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM source.{table}")
        made.execute("PRAGMA user_version = 2")
