"""One requester that cannot be called, one row that does not open: all others go on."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.modality import Modality
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_report import Address, Reporter
from wardlight_edge.imaging_settings import CommitmentSettings
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import Incoming, Item, ItemState
from wardlight_edge.spool.commitments import Asker, CommitmentTable, PutOutcome, Reference
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import ConfigError, StorageError

BROKEN = "1.2.666"
DAY_MS = 86_400_000


class Spool:
    """Implements ReceivingSpool: everything is delivered, one UID cannot be looked up."""

    def find(self, key: str) -> Sequence[Item]:
        if key == BROKEN:
            raise StorageError("an entry of the spool does not open with this key")
        about: dict[str, str | int | bool | None] = {"sop_class": "1.9"}
        return [Item(1, BlobKind.INSTANCE, b"h" * 32, 1, 1, about, ItemState.DELIVERED)]

    def ask_again(self, keys: Sequence[str]) -> None:
        """The collector has said it again at once."""

    def is_kept(self, item: Item) -> bool | None:
        raise AssertionError("nothing waits here")

    def begin(
        self, kind: BlobKind, key: str, expected_bytes: int = 0, *, sender: str = ""
    ) -> Incoming:
        raise AssertionError("nothing is stored here")


class Held:
    """A desk on a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "spool.sqlite")
        self.clock = ManualClock()
        self.table = CommitmentTable(self.database, Sealer(b"k" * 32))
        age = Age(self.database, self.clock)
        self.desk = CommitmentDesk(self.table, Spool(), CommitmentSettings(), self.clock, age)

    def ask(self, calling_ae: str, instance: str = "1.2.3", transaction: str = "") -> PutOutcome:
        transaction = transaction or f"1.{len(calling_ae)}.{self.clock.wall_ms()}"
        asker = Asker(transaction, calling_ae, "WARDLIGHT", "192.0.2.1")
        return self.desk.take(asker, [Reference("1.9", instance)])

    def spoil(self, table: str, column: str, number: int) -> None:
        with sqlite3.connect(self.database.path) as other:
            key = "event" if table == "step_event" else "commitment"
            other.execute(
                f"UPDATE {table} SET {column} = x'00' WHERE {key} = ?",
                (number,),
            )
        other.close()

    def requesters(self) -> list[str]:
        return [each.asked.calling_ae for each in self.desk.due()]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    made = Held(tmp_path)
    yield made
    made.database.close()


def _no_tls() -> None:
    raise ConfigError("dicom.tls: key_file is gone")


def test_a_requester_that_cannot_be_called_keeps_back_no_other_report(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    modality = Modality("GOOD")
    addresses = {
        "AWAY": Address("no-such-host.invalid", 104),
        "ODD": Address("x" * 70 + ".invalid", 104),  # no label of a name is that long
        "TLS": Address("127.0.0.1", modality.port, tls=True),
        "GOOD": Address("127.0.0.1", modality.port),
    }
    reporter = Reporter(held.desk, addresses, _no_tls)  # type: ignore[arg-type]
    try:
        for title in addresses:
            held.ask(title)
        with caplog.at_level(logging.WARNING):
            assert reporter.send_due() == 1
        assert [event for event, _ in modality.reports] == [1]
        assert "no-such-host" not in caplog.text
        assert held.requesters() == [], "each has its pause"
        held.clock.advance(60_000)
        assert sorted(held.requesters()) == ["AWAY", "ODD", "TLS"]
    finally:
        modality.close()


def test_a_request_that_cannot_be_decided_keeps_back_no_other(held: Held) -> None:
    held.ask("BAD", BROKEN)
    held.ask("GOOD")
    assert held.requesters() == ["GOOD"]
    held.clock.advance(4 * DAY_MS)
    (late,) = held.desk.due()
    assert [reason for page in held.desk.outcomes(late) for _, reason in page] == [0x0110]


def test_an_answer_that_the_disk_does_not_keep_is_asked_for_again(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(number: int, state: object) -> None:
        raise StorageError("the disk refuses")

    held.ask("CT1")
    (commitment,) = held.desk.due()
    with monkeypatch.context() as patch:
        patch.setattr(held.table, "settle", refuses)
        held.desk.told(commitment, 0)
    assert held.desk.due() == [], "not in a rush"
    held.clock.advance(60_000)
    assert [each.number for each in held.desk.due()] == [commitment.number]


@pytest.mark.parametrize(
    ("table", "column"),
    [("commitment", "asked"), ("commitment_page", "sealed"), ("commitment", "verdicts")],
)
def test_a_request_whose_row_does_not_open_is_set_aside(
    held: Held, table: str, column: str
) -> None:
    held.ask("BAD", transaction="1.5")
    held.ask("GOOD")
    if column == "verdicts":
        for each in held.desk.due():
            held.desk.told(each, None)
        held.clock.advance(60_000)
    held.spoil(table, column, 1)
    good = Modality("GOOD")
    try:
        address = Address("127.0.0.1", good.port)
        reporter = Reporter(held.desk, {"GOOD": address, "BAD": address}, _no_tls)  # type: ignore[arg-type]
        assert reporter.send_due() == 1
    finally:
        good.close()
    assert held.table.counts() == {"damaged": 1, "reported": 1}
    held.clock.advance(60_000)
    held.ask("BAD", transaction="1.5")
    assert held.requesters() == ["BAD"], "what is asked again begins anew"


def test_an_event_whose_row_does_not_open_is_set_aside(held: Held) -> None:
    table = StepTable(held.database, Sealer(b"k" * 32))
    for number in (1, 2, 3):
        event = StepEvent(f"1.{number}", "create", "CT1", "W", "192.0.2.1", 1, b"file")
        assert table.put(StepState("IN PROGRESS", 1, b"step"), event, 1)
    held.spoil("step_event", "sealed", 1)
    held.spoil("step_event", "sealed", 2)
    assert [each.event.sop_instance for each in table.waiting(limit=2)] == ["1.3"]
    assert table.count_aside() == 2
