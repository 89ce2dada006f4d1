"""An outbox file or its log that is deleted, exchanged or cut, in use or between two lives."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import number_of, record, sqlite_outbox
from support.waiting import wait_until
from wardlight_edge.outbox import trace
from wardlight_edge.outbox.base import Choice, Outbox
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.outbox.trace import Trace
from wardlight_shared.records import GapBody, Record, StatusBody, decode_body

MUCH = 1 << 30
ROWS = 700
ENDLESS = (1 << 62) - 1


async def fill(outbox: SqliteOutbox, clock: ManualClock, first: int, end: int) -> None:
    for start in range(first, end, 50):
        await outbox.append([record(clock, number) for number in range(start, start + 50)])


async def taken(outbox: Outbox) -> list[Record]:
    await wait_until(lambda: not outbox.status().salvaging, what="salvage has ended")
    return [
        one
        for choice in Choice
        for one in await outbox.take(choice, max_records=MUCH, max_bytes=MUCH)
    ]


def told(records: Sequence[Record]) -> tuple[list[int], list[Record], list[StatusBody]]:
    """Numbers of the test's own records; gaps; reports of a replaced outbox."""
    numbers: list[int] = []
    gaps: list[Record] = []
    reports: list[StatusBody] = []
    for one in records:
        body = decode_body(one.body)
        if isinstance(body, GapBody):
            gaps.append(one)
        elif isinstance(body, StatusBody) and body.name == "outbox-replaced":
            reports.append(body)
        else:
            numbers.append(number_of(one))
    return sorted(numbers), gaps, reports


def killed_copy(path: Path, folder: Path) -> Path:
    """What a kill -9 leaves: the files as they are while the outbox is open."""
    folder.mkdir()
    for one in path.parent.glob(path.name + "*"):
        shutil.copy(one, folder / one.name)
    return folder / path.name


@pytest.mark.parametrize("how", ["clean stop", "kill"])
async def test_a_deleted_file_is_named_after_the_next_start(tmp_path: Path, how: str) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        old_epoch = outbox.epoch
        left = killed_copy(path, tmp_path / "killed") if how == "kill" else path
    for one in left.parent.glob("outbox.db*"):
        if not one.name.endswith(trace.SUFFIX):
            one.unlink()
    async with sqlite_outbox(left, clock) as outbox:
        numbers, [gap], [report] = told(await taken(outbox))
        assert outbox.epoch != old_epoch
        assert numbers == []
    body = decode_body(gap.body)
    assert isinstance(body, GapBody)
    assert (body.cause, body.count, body.seqs) == ("vanished", 0, [(1, ENDLESS)])
    assert gap.origin == (old_epoch, 0)
    assert (report.data["cause"], report.data["epoch"]) == ("vanished", old_epoch)
    assert (report.data["recovered"], report.data["lost"]) == (0, None)
    async with sqlite_outbox(left, clock) as outbox:
        _, gaps, reports = told(await taken(outbox))
        assert (len(gaps), len(reports)) == (1, 1), "told once"


async def test_a_new_gateway_has_nothing_to_tell(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    for _ in range(2):
        async with sqlite_outbox(path, clock) as outbox:
            assert await taken(outbox) == []
    left = {one.name for one in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))}
    assert left == {"outbox.db", "outbox.db.reserve", f"outbox.db{trace.SUFFIX}"}


async def test_a_log_without_its_file_is_salvaged(tmp_path: Path) -> None:
    """The log holds what was written since the last checkpoint: here all."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        left = killed_copy(path, tmp_path / "killed")
    left.unlink()
    async with sqlite_outbox(left, clock) as outbox:
        numbers, _, [report] = told(await taken(outbox))
    assert numbers == list(range(100))
    assert report.data["recovered"] == 100


@pytest.mark.parametrize("size", [0, 1, 4096, 5000, 20 * 4096])
async def test_a_truncated_file_ends_in_rows_and_a_named_loss(tmp_path: Path, size: int) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, ROWS - 100)
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, ROWS - 100, ROWS)
        left = killed_copy(path, tmp_path / "killed")
        old_epoch = outbox.epoch
    os.truncate(left, size)
    async with sqlite_outbox(left, clock) as outbox:
        numbers, gaps, [report] = told(await taken(outbox))
        assert outbox.epoch != old_epoch
    assert len(numbers) == len(set(numbers)) == report.data["recovered"]
    assert set(range(ROWS - 50, ROWS)) <= set(numbers), "the log was whole"
    assert counted(gaps) == ROWS - len(numbers)
    assert names(gaps[-1], 1, old_epoch)
    assert names(gaps[-1], ROWS, old_epoch)


def counted(gaps: Sequence[Record]) -> int:
    bodies = [decode_body(gap.body) for gap in gaps]
    return sum(body.count for body in bodies if isinstance(body, GapBody))


def names(gap: Record, seq: int, epoch: int) -> bool:
    body = decode_body(gap.body)
    assert isinstance(body, GapBody)
    assert gap.origin == (epoch, 0)
    return any(first <= seq <= last for first, last in body.seqs or [])


async def test_a_log_taken_away_is_noticed(tmp_path: Path) -> None:
    """Without it the file is an older state of itself, and sound: only the trace knows better."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 100, 200)
        old_epoch = outbox.epoch
        left = killed_copy(path, tmp_path / "killed")
    left.with_name(left.name + "-wal").unlink()
    async with sqlite_outbox(left, clock) as outbox:
        records = await taken(outbox)
        numbers, gaps, [report] = told(records)
        assert outbox.epoch != old_epoch
    assert numbers == list(range(100))
    assert report.data["cause"] == "vanished"
    assert all(any(names(gap, seq, old_epoch) for gap in gaps) for seq in range(101, 300))
    assert sorted(one.origin for one in records if one.origin and one.origin[1]) == [
        (old_epoch, number + 1) for number in range(100)
    ]


async def test_a_clean_stop_or_a_kill_is_no_damage(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        epoch = outbox.epoch
        used = trace.read(path)
        assert used is not None
        log_bytes = path.with_name(path.name + "-wal").stat().st_size
        assert used.log_bytes <= log_bytes
        assert used == Trace(epoch, True, newest=100, log_bytes=used.log_bytes)
        left = killed_copy(path, tmp_path / "killed")
    assert trace.read(path) == Trace(epoch, is_used=False, newest=100)
    for each in (path, left):
        async with sqlite_outbox(each, clock) as outbox:
            assert outbox.epoch == epoch
            assert told(await taken(outbox))[0] == list(range(100))


@pytest.mark.parametrize("how", ["deleted", "exchanged"])
async def test_a_file_deleted_or_exchanged_in_use_loses_nothing(tmp_path: Path, how: str) -> None:
    """SQLite still holds the file: it is copied out of its hands."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        older = killed_copy(path, tmp_path / "killed")
        await fill(outbox, clock, 100, 200)
        old_epoch = outbox.epoch
        if how == "deleted":
            path.unlink()
        else:
            older.replace(path)
        await fill(outbox, clock, 200, 250)
        assert outbox.epoch != old_epoch
        records = await taken(outbox)
    numbers, gaps, reports = told(records)
    assert reports[0].data["cause"] == "corrupt"
    if how == "deleted":
        assert numbers == list(range(250))
        assert counted(gaps) == 0
    firsts = [one.origin for one in records if one.origin and one.origin[1]]
    assert set(firsts) == {(old_epoch, number + 1) for number in range(200)}
    assert set(numbers) == set(range(250))


async def test_an_older_state_of_the_file_is_no_present_one(tmp_path: Path) -> None:
    """Put back from a copy it would give numbers again that the collector has for other records."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        old_epoch = outbox.epoch
    older = tmp_path / "older.db"
    shutil.copy(path, older)
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 100, 150)
    older.replace(path)
    async with sqlite_outbox(path, clock) as outbox:
        records = await taken(outbox)
        assert outbox.epoch != old_epoch
    numbers, gaps, [report] = told(records)
    assert numbers == list(range(100))
    assert report.data["highest"] == 150
    assert any(names(gap, 150, old_epoch) for gap in gaps)


@pytest.mark.parametrize("how", ["cut", "cut to nothing", "noise", "noise in its header"])
async def test_a_damaged_log_is_noticed(tmp_path: Path, how: str) -> None:
    """SQLite reads a log as far as it is sound, and takes the rest for what a crash left behind."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 200)
        old_epoch = outbox.epoch
        left = killed_copy(path, tmp_path / "killed")
    log = left.with_name(left.name + "-wal")
    size = log.stat().st_size
    if how.startswith("cut"):
        os.truncate(log, 0 if how == "cut to nothing" else size - 5000)
    else:
        with log.open("r+b") as file:
            file.seek(0 if how == "noise in its header" else size // 2)
            file.write(os.urandom(32))
    async with sqlite_outbox(left, clock) as outbox:
        numbers, gaps, [report] = told(await taken(outbox))
        assert outbox.epoch != old_epoch
    assert numbers == list(range(len(numbers)))
    assert report.data["highest"] == 200
    assert all(any(names(gap, seq, old_epoch) for gap in gaps) for seq in range(1, 201))


async def test_what_a_kill_leaves_behind_the_last_commit_is_no_damage(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        epoch = outbox.epoch
        left = killed_copy(path, tmp_path / "killed")
    log = left.with_name(left.name + "-wal")
    content = log.read_bytes()
    frame = bytearray(content[-4120:])
    frame[4:8] = bytes(4)  # a transaction that was under way has no commit
    frame[100:200] = os.urandom(100)
    log.write_bytes(content + bytes(frame) * 2)
    async with sqlite_outbox(left, clock) as outbox:
        assert told(await taken(outbox))[0] == list(range(100))
        assert outbox.epoch == epoch


async def test_a_foreign_outbox_in_its_place_is_noticed(tmp_path: Path) -> None:
    clock, path, other = ManualClock(), tmp_path / "outbox.db", tmp_path / "other.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, 100)
        old_epoch = outbox.epoch
    async with sqlite_outbox(other, clock) as outbox:
        await fill(outbox, clock, 100, 150)
        other_epoch = outbox.epoch
    other.replace(path)
    async with sqlite_outbox(path, clock) as outbox:
        assert outbox.epoch not in (old_epoch, other_epoch)
        records = await taken(outbox)
    numbers, gaps, reports = told(records)
    assert numbers == list(range(100, 150))
    assert {report.data["cause"]: report.data["epoch"] for report in reports} == {
        "vanished": old_epoch, "corrupt": other_epoch
    }  # fmt: skip
    assert {gap.origin for gap in gaps} == {(old_epoch, 0), (other_epoch, 0)}
    assert {one.origin for one in records if one.origin and one.origin[1]} == {
        (other_epoch, number - 99) for number in numbers
    }


async def test_the_epoch_lost_in_both_its_places_is_in_the_trace(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 0, ROWS)
    with path.open("r+b") as file:
        file.write(os.urandom(4096))
        content = path.read_bytes()
        for page in range(1, len(content) // 4096):
            if b"key_check" in content[page * 4096 : (page + 1) * 4096]:
                file.seek(page * 4096)
                file.write(os.urandom(4096))
    async with sqlite_outbox(path, clock) as outbox:
        assert told(await taken(outbox))[0] == list(range(ROWS))


@pytest.mark.parametrize(
    "octets", [b"", b"noise", b"\xff" * 60, b"wardlight outbox epoch 7 used\n"]
)
def test_a_trace_of_noise_tells_nothing(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "outbox.db"
    (tmp_path / f"outbox.db{trace.SUFFIX}").write_bytes(octets)
    assert trace.read(path) is None
    trace.write(path, Trace((1 << 63) - 1, is_used=True))
    assert trace.read(path) == Trace((1 << 63) - 1, is_used=True)
