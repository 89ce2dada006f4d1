"""When a report goes on the association of its request, and when it is left to another one."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.dicom_wire import EXPLICIT
from support.manual_clock import ManualClock
from wardlight_edge.dicom import data_sets, dimse
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_here import ReportsHere
from wardlight_edge.dicom.dimse import Command, Tag
from wardlight_edge.imaging_settings import CommitmentSettings
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import Incoming, Item, ItemState
from wardlight_edge.spool.commitments import Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.blobs import BlobKind


class Spool:
    """Implements ReceivingSpool: everything is delivered."""

    def find(self, key: str) -> list[Item]:
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


class World:
    """A desk, and association 7 with its reports; time stands still."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "spool.sqlite")
        self.table = CommitmentTable(self.database, Sealer(b"k" * 32))
        self.clock = ManualClock()
        age = Age(self.database, self.clock)
        self.desk = CommitmentDesk(self.table, Spool(), CommitmentSettings(), self.clock, age)
        self.here = ReportsHere(self.desk, 7, 3, EXPLICIT, lambda: self.clock.mono_ms() / 1000)

    def ask(self, transaction: str, association: int = 7, *, is_only_way: bool = False) -> None:
        asker = Asker(transaction, "CT1", "WARDLIGHT", "192.0.2.1")
        self.desk.take(asker, [Reference("1.9", "1.2.3")], association, is_only_way=is_only_way)

    def take(self) -> tuple[bytes, bytes]:
        found = self.here.take()
        assert found is not None
        command, pieces = found
        return command, b"".join(pieces)

    def pass_s(self, seconds: float) -> None:
        self.clock.advance(int(seconds * 1000))

    def elsewhere(self) -> list[str]:
        """What an association of ours would report now; it is given back."""
        found = self.desk.due()
        for each in found:
            self.desk.give_back(each)
        return sorted(each.asked.transaction for each in found)

    def answer(self, status: int, message_id: int) -> Command:
        elements = {Tag.COMMAND_FIELD: 0x8100, Tag.RESPONDED_MESSAGE_ID: message_id,
                    Tag.STATUS: status, Tag.DATA_SET_TYPE: 0x0101}  # fmt: skip
        return Command({int(tag): struct.pack("<H", value) for tag, value in elements.items()})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_a_report_goes_when_the_requester_is_quiet(world: World) -> None:
    world.ask("1.1")
    assert not world.here.is_due()
    world.pass_s(0.9)
    world.here.heard()
    world.pass_s(0.9)
    assert not world.here.is_due(), "it is at work"
    world.pass_s(0.2)
    assert world.here.is_due()
    octets, information = world.take()
    command = dimse.decode(octets)
    assert (command.field, command.sop_class) == (0x0100, "1.2.840.10008.1.20.1")
    assert command.sop_instance == "1.2.840.10008.1.20.1.1"
    assert command.number(Tag.EVENT_TYPE) == 1
    told = data_sets.read(information, EXPLICIT, most_values=100)
    assert told.TransactionUID == "1.1"
    assert not world.here.answered(world.answer(0, command.message_id + 1))
    assert world.here.answered(world.answer(0, command.message_id))
    assert world.table.counts() == {"reported": 1}
    assert not world.here.is_due()
    assert not world.here.answered(world.answer(0, 9)), "nothing was sent with this number"


def test_only_what_was_asked_here_is_reported_here_and_first_here(world: World) -> None:
    world.ask("1.1")
    world.ask("1.2", association=8)
    world.ask("1.3", association=0)
    assert world.elsewhere() == ["1.3"]
    world.pass_s(1.1)
    assert world.here.is_due()
    world.here.take()
    world.desk.leave(8)
    assert world.elsewhere() == ["1.2", "1.3"]
    world.here.end()
    world.pass_s(60)
    assert world.elsewhere() == ["1.1", "1.2", "1.3"]


def test_who_has_no_other_way_is_left_to_its_association(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the moment that the request is held, for as long as the association is there."""
    put, seen = world.table.put, []

    def watched(*values: object, **named: object) -> object:
        outcome = put(*values, **named)  # type: ignore[arg-type]
        seen.append(world.elsewhere())
        return outcome

    monkeypatch.setattr(world.table, "put", watched)
    for number in range(200):
        world.ask(f"1.{number}", is_only_way=True)
    assert not any(seen)
    world.pass_s(400)
    assert world.elsewhere() == []
    for _ in range(200):
        assert world.here.is_due()
        octets, _ = world.take()
        assert world.here.answered(world.answer(0, dimse.decode(octets).message_id))
        world.pass_s(1.1)
    assert world.table.counts() == {"reported": 200}
    world.ask("2.1", is_only_way=True)
    world.here.end()
    assert world.elsewhere() == ["2.1"], "whoever sends reports gives it up"


def test_an_association_is_held_five_minutes_from_its_last_request(world: World) -> None:
    assert world.here.waits_s() == 0
    world.ask("1.1")
    world.pass_s(200)
    world.ask("1.2", association=8)
    assert world.here.waits_s() == 100
    world.ask("1.3")
    assert world.here.waits_s() == 300
    world.pass_s(100.5)
    assert world.elsewhere() == ["1.1", "1.3"], "it goes first for five minutes from the first one"
    world.pass_s(300)
    assert world.here.waits_s() == 0
    world.ask("1.4")
    world.here.end()
    assert world.here.waits_s() == 0


def test_what_is_due_is_not_held_back_by_an_association_that_is_never_quiet(world: World) -> None:
    world.ask("1.1")
    for _ in range(400):
        world.pass_s(0.8)
        world.here.heard()
        assert not world.here.is_due()
    assert world.elsewhere() == ["1.1"]


def test_who_does_not_answer_gets_its_reports_elsewhere(world: World) -> None:
    world.ask("1.1")
    world.ask("1.2")
    world.pass_s(1.1)
    assert world.here.is_due()
    world.here.take()
    world.pass_s(31)
    assert not world.here.is_due()
    assert world.here.context_id is None
    assert world.here.answered(world.answer(0, 1)), "too late, but no reason to hang up"
    world.pass_s(31)
    assert world.elsewhere() == ["1.1", "1.2"]
    assert not world.here.is_due()


def test_who_asks_again_while_it_is_given_up_is_told(world: World) -> None:
    """The thread that gives up looked before the association of the second request was open."""
    world.ask("1", is_only_way=True)
    world.desk.leave(7)
    (taken,) = world.desk.due()
    world.ask("1", association=8, is_only_way=True)
    world.desk.give_up(taken)
    assert [each.asked.transaction for each in world.desk.due_on(8)] == ["1"]
