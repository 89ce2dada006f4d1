"""The worklist that a gateway holds: whole or not at all, never older than it says."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from support.manual_clock import ManualClock
from wardlight_edge.dicom.base import Peer, Reply, Request
from wardlight_edge.dicom.data_sets import EXPLICIT_LITTLE, written
from wardlight_edge.dicom.worklist import WORKLIST_FIND, WorklistService
from wardlight_edge.imaging_settings import WorklistSettings
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.worklist import WorklistTable
from wardlight_shared import worklist
from wardlight_shared.worklist import WorklistEntry, WorklistPage

HOUR_MS = 3_600_000
PEER = Peer("CT1", "WARDLIGHT", "192.0.2.7")


class World:
    """A table on a database of its own, a clock, and whether that clock is set."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "spool.sqlite"
        self.clock = ManualClock()
        self.is_set = True
        self.database = Database(self.file)
        self.table = self.open()

    def open(self, key: bytes = b"k" * 32) -> WorklistTable:
        return WorklistTable(self.database, Sealer(key), self.clock, is_set=lambda: self.is_set)

    def keep(
        self,
        since: int,
        upto: int,
        newest: int,
        entries: dict[int, bytes | None],
        *,
        age_ms: int = 0,
        epoch: int = 7,
    ) -> bool:
        changes = [
            WorklistEntry(number, since + place, octets)
            for place, (number, octets) in enumerate(entries.items(), 1)
        ]
        as_of_ms = self.clock.wall_ms() - age_ms
        return self.table.keep(
            WorklistPage(worklist.VERSION, since, upto, newest, as_of_ms, changes, epoch)
        )

    def held(self) -> dict[int, bytes]:
        return {each.entry: each.data_set for each in self.table.entries()}

    def age_s(self) -> float | None:
        return self.table.freshness().age_s


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_there_is_no_list_at_first(world: World) -> None:
    assert (world.table.revision(), world.held(), world.age_s()) == (0, {}, None)
    assert world.table.freshness().as_of_ms is None


def test_a_page_of_another_epoch_continues_nothing(world: World) -> None:
    assert world.table.epoch() is None
    assert world.keep(0, 2, 2, {1: b"one"})
    assert world.table.epoch() == 7
    assert not world.keep(2, 3, 3, {2: b"two"}, epoch=8)
    assert world.keep(2, 3, 3, {2: b"two"})
    assert world.keep(0, 2, 9, {5: b"five"}, epoch=8)
    assert (world.table.epoch(), world.table.revision()) == (8, 2)
    assert not world.keep(2, 9, 9, {6: b"six"}), "the list that comes is of the new one"
    assert world.keep(2, 9, 9, {6: b"six"}, epoch=8)
    assert world.held() == {5: b"five", 6: b"six"}


def test_changes_continue_what_is_held(world: World) -> None:
    world.keep(0, 2, 2, {1: b"one", 2: b"two"})
    assert world.held() == {1: b"one", 2: b"two"}
    world.keep(2, 4, 4, {1: None, 3: b"three"})
    assert (world.table.revision(), world.held()) == (4, {2: b"two", 3: b"three"})
    world.keep(2, 4, 4, {2: None})
    world.keep(9, 10, 10, {2: None})
    assert world.held() == {2: b"two", 3: b"three"}, "a page that does not continue is ignored"


def test_a_list_that_begins_anew_replaces_the_old_one_when_it_is_whole(world: World) -> None:
    world.keep(0, 2, 2, {1: b"one", 2: b"two"})
    mark = world.table.mark()
    world.keep(0, 5, 9, {5: b"five"})
    assert (world.table.revision(), world.held()) == (5, {1: b"one", 2: b"two"})
    assert world.table.mark() == mark
    world.table = world.open()
    world.keep(5, 9, 9, {6: b"six"})
    assert (world.table.revision(), world.held()) == (9, {5: b"five", 6: b"six"})
    assert world.table.mark() != mark
    world.keep(0, 0, 0, {})
    assert world.held() == {}


def test_the_age_counts_from_the_last_whole_page(world: World) -> None:
    world.keep(0, 2, 2, {1: b"one"}, age_ms=5_000)
    assert world.age_s() == 5
    world.clock.advance(HOUR_MS)
    assert world.age_s() == 3605
    world.keep(2, 3, 9, {2: b"two"})
    assert world.age_s() == 3605, "there is more to come"
    world.keep(3, 9, 9, {3: b"three"})
    assert world.age_s() == 0


def test_a_wall_clock_that_is_set_changes_no_age(world: World) -> None:
    world.keep(0, 1, 1, {1: b"one"})
    world.clock.advance(HOUR_MS)
    world.clock._wall_ms -= 50 * HOUR_MS
    assert world.age_s() == 3600


@pytest.mark.parametrize(("is_set", "age_s"), [(True, 7200.0), (False, None)])
def test_after_a_restart_only_a_clock_that_is_set_tells_an_age(
    world: World, is_set: bool, age_s: float | None
) -> None:
    world.keep(0, 1, 1, {1: b"one"})
    world.clock.advance(2 * HOUR_MS)
    world.clock.reboot("boot-2")
    world.is_set = is_set
    assert world.age_s() == age_s


def test_an_entry_that_does_not_open_is_left_out(world: World) -> None:
    world.keep(0, 2, 2, {1: b"Doe^Jane", 2: b"Roe^Richard"})
    assert b"Doe" not in world.file.read_bytes()
    with contextlib.closing(sqlite3.connect(world.file)) as other, other:
        other.execute("UPDATE worklist SET sealed = x'00' WHERE entry = 1")
    assert [each.data_set for each in world.table.entries()] == [b"Roe^Richard"]
    assert world.open(b"x" * 32).entries() == []


def _answers(
    world: World, settings: WorklistSettings, service: WorklistService | None = None, **keys: str
) -> list[Reply]:
    command, identifier = Dataset(), Dataset()
    command.CommandField = 0x0020
    step = Dataset()
    step.CommentsOnTheScheduledProcedureStep = ""
    identifier.ScheduledProcedureStepSequence = Sequence([step])
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    request = Request(WORKLIST_FIND, EXPLICIT_LITTLE, command, written(identifier))
    service = service or WorklistService(world.table, settings)
    return list(service.answer(PEER, request, lambda: False))


def _entry(name: str) -> bytes:
    step = Dataset()
    step.CommentsOnTheScheduledProcedureStep = "bring glasses"
    entry = Dataset()
    entry.PatientName = name
    entry.ScheduledProcedureStepSequence = Sequence([step])
    return written(entry)


def test_an_old_list_is_marked_or_refused_and_never_silent(world: World) -> None:
    fresh = WorklistSettings(stale_after_s=3600)
    assert [reply.status for reply in _answers(world, fresh)] == [0xA700], "none ever came"
    world.keep(0, 1, 1, {1: _entry("Doe^Jane")})
    found, last = _answers(world, fresh)
    assert (found.status, last.status, found.command, last.command) == (0xFF00, 0, None, None)
    world.clock.advance(2 * HOUR_MS)
    service = WorklistService(world.table, fresh)
    for _ in range(2):  # the mark is of the answer, not of what is held
        found, last = _answers(world, fresh, service)
        assert found.command is not None and last.command is not None and found.data_set is not None
        note = str(found.command.ErrorComment)
        assert note.startswith("Worklist of ") and note == last.command.ErrorComment
        (step,) = found.data_set.ScheduledProcedureStepSequence
        assert step.CommentsOnTheScheduledProcedureStep == f"[{note}] bring glasses"
    strict = WorklistSettings(stale_after_s=3600, when_stale="refuse")
    assert [reply.status for reply in _answers(world, strict)] == [0xA700]
    world.keep(1, 1, 1, {})
    assert [reply.status for reply in _answers(world, strict)] == [0xFF00, 0]
    world.clock.reboot("boot-2")
    world.is_set = False
    assert [reply.status for reply in _answers(world, strict)] == [0xA700], "age not known"


def test_an_answer_can_be_cancelled_and_says_what_it_did_not_match(world: World) -> None:
    world.keep(0, 1, 1, {1: _entry("Doe^Jane")})
    settings = WorklistSettings()
    command, identifier = Dataset(), Dataset()
    command.CommandField = 0x0020
    identifier.PixelData = b"\0\0"
    identifier["PixelData"].VR = "OW"
    request = Request(WORKLIST_FIND, EXPLICIT_LITTLE, command, written(identifier))
    service = WorklistService(world.table, settings)
    assert [each.status for each in service.answer(PEER, request, lambda: False)] == [0xFF01, 0]
    assert [each.status for each in service.answer(PEER, request, lambda: True)] == [0xFE00]
    broken = Request(WORKLIST_FIND, EXPLICIT_LITTLE, command, b"\x10\0\x10\0PN\xff\xff1")
    assert [each.status for each in service.answer(PEER, broken, lambda: False)] == [0xA900]
    command.CommandField = 0x0021
    assert [each.status for each in service.answer(PEER, request, lambda: False)] == [0x0211]


def test_a_list_that_begins_anew_twice_has_nothing_of_the_first_time(world: World) -> None:
    """An order that was cancelled between the two would come back."""
    world.keep(0, 1, 1, {1: b"A"})
    assert world.keep(0, 1, 9, {5: b"cancelled since"})
    assert world.held() == {1: b"A"}
    assert world.keep(0, 2, 2, {1: b"A", 2: b"B"})
    assert world.held() == {1: b"A", 2: b"B"}


def test_what_has_changed_is_answered_from_the_same_service(world: World) -> None:
    """It keeps the list decoded: a change, a cancelled order and a list that began anew show."""
    settings = WorklistSettings()
    service = WorklistService(world.table, settings)

    def names() -> list[str]:
        found = [each.data_set for each in _answers(world, settings, service, PatientName="")]
        return sorted(str(each.PatientName) for each in found if each is not None)

    world.keep(0, 2, 2, {1: _entry("Doe^Jane"), 2: _entry("Roe^John")})
    assert names() == ["Doe^Jane", "Roe^John"]
    world.keep(2, 3, 3, {1: _entry("Doe^Janet")})
    assert names() == ["Doe^Janet", "Roe^John"]
    world.keep(3, 4, 4, {1: None})
    assert names() == ["Roe^John"]
    world.keep(0, 4, 4, {3: _entry("Moe^Jim"), 2: _entry("Poe^Ann")})
    assert names() == ["Moe^Jim", "Poe^Ann"], "also where a revision is used again"
