"""How old a spool is, whatever its wall clock says."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from support.manual_clock import ManualClock
from support.modality import STEP_CLASS, begun
from wardlight_edge.dicom.base import Peer, Request
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.data_sets import EXPLICIT_LITTLE, written
from wardlight_edge.dicom.steps import StepService
from wardlight_edge.imaging_settings import CommitmentSettings, DicomSettings
from wardlight_edge.spool.age import KEEP_EVERY_MS, LONGEST_OFF_MS, Age
from wardlight_edge.spool.commitments import Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.opening import open_receiving
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.steps import StepTable
from wardlight_shared.errors import StorageError

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


class World:
    """A machine and its spool; ``is_set``: the kernel calls the wall clock synchronised."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "spool.sqlite")
        self.clock = ManualClock()
        self.is_set = True
        self.start()

    def start(self) -> None:
        self.age = Age(self.database, self.clock, is_set=lambda: self.is_set)
        self.age.keep()

    def pass_hours(self, hours: int) -> None:
        self.clock.advance(hours * HOUR_MS)
        self.age.keep()

    def hours(self) -> float:
        return self.age.now_ms() / HOUR_MS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_it_goes_on_while_the_process_is_down(world: World) -> None:
    world.pass_hours(1)
    world.clock.advance(5 * HOUR_MS)
    world.start()
    assert world.hours() == 6


@pytest.mark.parametrize("jump_ms", [5 * YEAR_MS, -40 * YEAR_MS])
def test_a_wall_clock_that_is_set_changes_nothing(world: World, jump_ms: int) -> None:
    """Also when the kernel believed it before and after: somebody's NTP server was wrong."""
    world.pass_hours(1)
    world.clock.set_wall(world.clock.wall_ms() + jump_ms)
    world.pass_hours(1)
    world.start()
    assert world.hours() == 2


@pytest.mark.parametrize(
    ("before", "after", "hours"), [(True, True, 12), (False, True, 2), (True, False, 2)]
)
def test_the_time_between_two_boots_counts_where_both_clocks_are_known(
    world: World, before: bool, after: bool, hours: int
) -> None:
    if not before:
        world.database.write(lambda changes: changes.execute("DELETE FROM age"))
        world.is_set = False
        world.start()
    world.pass_hours(1)
    wall_ms = world.clock.wall_ms()
    world.clock.reboot("boot-2")
    world.clock.set_wall(0)
    world.is_set = False
    world.start()
    world.pass_hours(1)
    assert world.hours() == 2, "it is not known yet"
    world.clock.set_wall(wall_ms + 11 * HOUR_MS)
    world.is_set = after
    world.age.keep(at_once=True)
    world.start()
    assert world.hours() == hours


def test_it_is_written_now_and_then_and_goes_back_by_little(world: World) -> None:
    before = world.database.value("SELECT age_ms FROM age")
    world.clock.advance(KEEP_EVERY_MS - 1)
    world.age.keep()
    assert world.database.value("SELECT age_ms FROM age") == before
    world.clock.reboot("boot-2")
    world.is_set = False
    world.start()
    assert world.age.now_ms() == before


def _off(world: World, wall_ms: int) -> None:
    """A boot with a wall clock at its begin, an hour of it with a request, then the right time."""
    world.pass_hours(1)
    world.clock.reboot("boot-2")
    world.clock.set_wall(0)
    world.is_set = False
    world.start()
    table = CommitmentTable(world.database, Sealer(b"k" * 32))
    asker = Asker("1.3", "CT1", "W", "192.0.2.1")
    world.clock.advance(1)
    table.put(asker, [Reference("1.9", "1.8")], received_ms=1, now_ms=world.age.now_ms())
    world.pass_hours(1)
    world.clock.set_wall(wall_ms)
    world.is_set = True


def _waited(world: World) -> float:
    now_ms = world.age.now_ms()  # first: what is due is looked for in this order
    return (now_ms - int(world.database.value("SELECT asked_at FROM commitment"))) / HOUR_MS


def test_no_deadline_comes_early_where_the_move_fails_or_is_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and age move at once: not at all where the disk refuses, and nobody sees one alone."""
    _off(world, world.clock.wall_ms() + 193 * HOUR_MS)
    write, seen = world.database.write, list[float]()

    def refused(_: Callable[[Transaction], object]) -> None:
        raise StorageError("no")

    def watched(change: Callable[[Transaction], object]) -> object:
        looking = threading.Thread(target=lambda: seen.append(_waited(world)), daemon=True)
        looking.start()
        looking.join(0.2)  # it waits, or has looked too early
        done = write(change)
        looking_on.append(looking)
        return done

    looking_on: list[threading.Thread] = []
    monkeypatch.setattr(world.database, "write", refused)
    for _ in range(2):
        with pytest.raises(StorageError):
            world.age.keep(at_once=True)
        assert (_waited(world), world.hours() < 3) == (1, True)
    monkeypatch.setattr(world.database, "write", watched)
    world.age.keep(at_once=True)
    for each in looking_on:
        each.join(180)
    assert (seen, _waited(world)) == ([1], 1)
    monkeypatch.setattr(world.database, "write", write)
    assert world.hours() > 190
    world.start()
    assert _waited(world) == 1


@pytest.mark.parametrize("what", ["commitment", "step"])
def test_nothing_is_written_with_the_age_of_before_a_move(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever has taken the age has written with it before the age moves."""
    _off(world, world.clock.wall_ms() + 193 * HOUR_MS)
    moving = threading.Thread(target=lambda: world.age.keep(at_once=True), daemon=True)
    write = world.database.write

    def late(change: Callable[[Transaction], object]) -> object:
        monkeypatch.setattr(world.database, "write", write)
        moving.start()
        moving.join(0.2)  # it waits, or has moved too early
        return write(change)

    monkeypatch.setattr(world.database, "write", late)
    column = _written(world, tmp_path, what)
    moving.join(180)
    assert world.hours() > 190
    newest = world.database.value(f"SELECT max({column}) FROM {what}")
    assert newest == world.age.now_ms()


def test_whoever_is_about_to_write_waits_for_the_end_of_a_move(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _off(world, world.clock.wall_ms() + 193 * HOUR_MS)
    write, ages = world.database.write, list[int]()

    def hold() -> None:
        with world.age.held() as now_ms:
            ages.append(now_ms)

    holding = threading.Thread(target=hold, daemon=True)

    def watched(change: Callable[[Transaction], object]) -> object:
        holding.start()
        holding.join(0.2)  # it waits, or has the age of before
        return write(change)

    monkeypatch.setattr(world.database, "write", watched)
    world.age.keep(at_once=True)
    holding.join(180)
    assert ages == [world.age.now_ms()]


def _written(world: World, folder: Path, what: str) -> str:
    """An age, by the services that write one; its column."""
    sealer = Sealer(b"k" * 32)
    with open_receiving(folder / "data", b"k" * 32, DicomSettings(min_free_bytes=0)) as spool:
        if what == "commitment":
            table = CommitmentTable(world.database, sealer)
            desk = CommitmentDesk(table, spool, CommitmentSettings(), world.clock, world.age)
            desk.take(Asker("1.4", "CT1", "W", "192.0.2.1"), [Reference("1.9", "1.8")])
            return "asked_at"
        service = StepService(StepTable(world.database, sealer), spool, world.clock, world.age)
        command = Dataset()
        command.CommandField, command.AffectedSOPInstanceUID = 0x0140, "1.1"
        request = Request(STEP_CLASS, EXPLICIT_LITTLE, command, written(begun()))
        (reply,) = service.answer(Peer("CT1", "W", "192.0.2.7"), request, lambda: False)
        assert reply.status == 0
        return "changed_at"


def test_a_time_off_beyond_reason_counts_in_part(world: World) -> None:
    _off(world, world.clock.wall_ms() + 9 * YEAR_MS)
    before = world.age.now_ms()
    world.age.keep(at_once=True)
    assert world.age.now_ms() - before == LONGEST_OFF_MS
    assert _waited(world) == 1


def test_it_never_goes_back(world: World) -> None:
    """Nor where the right time of the next boot is earlier than that of the one before."""
    world.pass_hours(5)
    before = world.age.now_ms()
    world.clock.reboot("boot-2")
    world.clock.set_wall(world.clock.wall_ms() - 3 * HOUR_MS)
    world.start()
    assert world.age.now_ms() == before
    world.age.keep(at_once=True)
    world.start()
    assert world.age.now_ms() == before


def test_the_clock_of_another_boot_says_nothing(world: World) -> None:
    """A machine that is up for longer than the one before was."""
    world.pass_hours(1)
    world.clock.reboot("boot-2", mono_ms=900 * HOUR_MS)
    world.is_set = False
    world.start()
    assert world.hours() == 1


def test_what_was_noted_before_both_moments_has_waited_all_of_the_time_between(
    world: World,
) -> None:
    """What was noted between them is moved, whatever it is; an hour was counted twice by nobody."""
    keys = iter((b"a", b"b"))
    world.pass_hours(1)
    _note(world, next(keys), world.age.now_ms() - 60_000)
    wall_ms = world.clock.wall_ms()
    _off(world, wall_ms + 193 * HOUR_MS)
    _note(world, next(keys), world.age.now_ms() - 60_000)
    between = world.age.now_ms()
    world.age.keep(at_once=True)
    moved = world.age.now_ms() - between
    assert moved > 190 * HOUR_MS
    for table, column in (
        ("step", "changed_at"), ("item", "noticed_at"), ("commitment", "asked_at"),
        ("commitment", "next_at"),
    ):  # fmt: skip
        rows = world.database.rows(
            f"SELECT {column} FROM {table} WHERE sealed = x'00' ORDER BY {column}"
            if table != "commitment"
            else f"SELECT {column} FROM {table} WHERE asked = x'00' ORDER BY {column}"
        )
        assert [each for (each,) in rows] == [
            HOUR_MS - 60_000, between - 60_000 + moved,
        ], (table, column)  # fmt: skip
    world.clock.reboot("boot-3")
    world.clock.set_wall(world.clock.wall_ms() + HOUR_MS)
    world.start()
    assert world.age.now_ms() == between + moved + HOUR_MS, "of the time between it counted once"


def _note(world: World, key: bytes, age_ms: int) -> None:
    def change(changes: Transaction) -> None:
        changes.execute(
            "INSERT INTO step (key_hash, status, events, changed_at, sealed)"
            " VALUES (?, 'IN PROGRESS', 1, ?, x'00')",
            (key, age_ms),
        )
        changes.execute(
            "INSERT INTO item (kind, key_hash, sender, name, size, disk_bytes, received_ms, state,"
            " sealed, noticed_at) VALUES ('instance', ?, x'', x'', 1, 1, 1, 'delivered', x'00', ?)",
            (key, age_ms),
        )
        changes.execute(
            "INSERT INTO commitment (key_hash, state, received_ms, asked_at, next_at, attempts,"
            " name, asked, instances, digest)"
            " VALUES (?, 'waiting', 1, ?, ?, 0, x'', x'00', 1, x'')",
            (key, age_ms, age_ms),
        )

    world.database.write(change)
