"""Damage: set aside, replaced, salvaged; what cannot be read is named, nothing goes in silence."""

import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import KEY, record, settings, sqlite_outbox, waveform
from support.waiting import wait_until
from wardlight_edge.outbox.base import Choice, Outbox
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_shared.errors import ConfigError, StorageError
from wardlight_shared.records import (
    Body,
    EventBody,
    GapBody,
    Lane,
    SeriesKey,
    StatusBody,
    TimeMethod,
    decode_body,
    encode_body,
)
from wardlight_shared.timestamps import Anchor, ClockQuality

PAGE = 4096
MUCH = 1 << 30
ROWS = 3000


async def fill(outbox: SqliteOutbox, clock: ManualClock, end: int = ROWS) -> None:
    """Events, which have a row each, and others, many of which share one."""
    for start in range(0, end, 500):
        is_event = start % 1000 == 0
        await outbox.append(
            [
                record(clock, number, event=f"event {number}" if is_event else None)
                for number in range(start, start + 500)
            ]
        )


async def taken(outbox: Outbox) -> list[Body]:
    """Everything that waits."""
    found = [
        one
        for choice in Choice
        for one in await outbox.take(choice, max_records=MUCH, max_bytes=MUCH)
    ]
    return [decode_body(one.body) for one in found]


def numbers(bodies: Iterable[Body]) -> list[int]:
    found = [
        body.data["n"] for body in bodies if isinstance(body, StatusBody) and body.name == "test"
    ]
    return sorted(number for number in found if isinstance(number, int))


def reports(bodies: Iterable[Body]) -> tuple[list[StatusBody], list[GapBody]]:
    bodies = list(bodies)
    statuses = [one for one in bodies if isinstance(one, StatusBody) and one.name != "test"]
    return statuses, [one for one in bodies if isinstance(one, GapBody)]


async def salvaged(outbox: Outbox) -> None:
    await wait_until(lambda: not outbox.status().salvaging, what="salvage has ended")


def names(folder: Path, pattern: str) -> list[str]:
    return [one.name for one in folder.glob(pattern)]


def content_of(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in folder.iterdir())


def damage(path: Path, pages: Iterable[int], seed: int = 1) -> None:
    noise = random.Random(seed)
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(noise.randbytes(PAGE))


async def test_damage_found_at_start_loses_only_what_stood_on_the_page(
    tmp_path: Path,
) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        old_epoch = outbox.epoch
        await fill(outbox, clock)
    damage(path, [path.stat().st_size // PAGE // 2])
    async with sqlite_outbox(path, clock) as outbox:
        assert outbox.epoch != old_epoch
        await salvaged(outbox)
        bodies = await taken(outbox)
    found = numbers(bodies)
    [status], gaps = reports(bodies)
    assert len(found) == len(set(found)) >= ROWS - 200
    assert status.data["recovered"] == len(found)
    assert status.data["epoch"] == old_epoch
    assert status.data["highest"] == ROWS
    assert status.data["lost"] == ROWS - len(found)
    if len(found) < ROWS:
        counted = [(gap.cause, gap.count) for gap in gaps if gap.count]
        assert counted == [("corrupt", ROWS - len(found))]


@pytest.mark.parametrize("seed", range(12))
async def test_any_damaged_pages_end_in_rows_or_in_a_named_loss(tmp_path: Path, seed: int) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock)
    pages = path.stat().st_size // PAGE
    chosen = random.Random(seed).sample(range(pages), 1 + seed % 3)
    damage(path, chosen, seed)
    async with sqlite_outbox(path, clock) as outbox:
        await salvaged(outbox)
        bodies = await taken(outbox)
    found = numbers(bodies)
    statuses, gaps = reports(bodies)
    assert len(set(found)) == len(found)
    lost = ROWS - len(found)
    assert lost <= 240, f"pages {chosen} of {pages}"  # 40 such events or 80 others on a page
    if lost:
        assert statuses
        assert {gap.cause for gap in gaps} == {"corrupt"}
        assert sum(gap.count for gap in gaps) == lost


async def test_a_damaged_first_page_loses_nothing(tmp_path: Path) -> None:
    """The page with SQLite's header is written most often; it is the same in every outbox."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock)
    damage(path, [0])
    async with sqlite_outbox(path, clock) as outbox:
        await salvaged(outbox)
        bodies = await taken(outbox)
    assert numbers(bodies) == list(range(ROWS))
    [status], [named] = reports(bodies)
    assert (status.data["recovered"], status.data["lost"]) == (ROWS, 0)
    assert (named.count, named.seqs) == (0, [(1, (1 << 62) - 1)]), "the old epoch, whole"
    assert not names(tmp_path, "*aside*")


async def test_a_file_of_noise_is_replaced_and_reported(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    path.write_bytes(random.Random(3).randbytes(20 * PAGE))
    async with sqlite_outbox(path, clock) as outbox:
        await outbox.append([record(clock, 1)])
        await salvaged(outbox)
        bodies = await taken(outbox)
    assert numbers(bodies) == [1]
    [status], gaps = reports(bodies)
    assert (status.data["cause"], status.data["lost"]) == ("corrupt", None)
    assert [gap.cause for gap in gaps] == ["corrupt"]
    assert names(tmp_path, "*damaged*")


async def test_damage_met_in_use_is_survived(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        old_epoch = outbox.epoch
        await fill(outbox, clock)
        outbox.series_number(SeriesKey("ble:001122334455", 7))  # that of the waveforms
        for _ in range(20):  # push the first pages out of the cache
            await outbox.append([waveform(clock, size=20_000) for _ in range(10)])
        damage(path, range(20, 40))
        # Each of these must be answered, whatever page it meets.
        for number in range(ROWS, ROWS + 50):
            await outbox.append([record(clock, number, event=f"event {number}")])
        await outbox.take(Choice.LIVE, max_records=MUCH, max_bytes=MUCH)
        await outbox.give_back()
        await salvaged(outbox)
        assert await outbox.append([record(clock, ROWS + 50)])
        bodies = await taken(outbox)
        changed = outbox.epoch != old_epoch
    found = numbers(bodies)
    statuses, gaps = reports(bodies)
    assert len(set(found)) == len(found)
    assert set(range(ROWS, ROWS + 51)) <= set(found)
    expected = len(range(ROWS + 51))
    assert len(found) < expected, "the damage was not met: the test proves nothing"
    assert sum(gap.count for gap in gaps) == expected - len(found)
    assert changed == bool(statuses)


async def test_one_damaged_row_becomes_a_gap_that_names_its_seq(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        epoch = outbox.epoch
        for number in range(1, 6):
            await outbox.append([record(clock, number)])
    _flip_bit_of(path, seq=3)
    async with sqlite_outbox(path, clock) as outbox:
        bodies = await taken(outbox)
        bodies += await taken(outbox)
        assert outbox.epoch == epoch
        assert outbox.status().records == 5
    assert numbers(bodies) == [1, 2, 4, 5]
    _, [gap] = reports(bodies)
    assert (gap.cause, gap.count, gap.seqs) == ("corrupt", 1, [(3, 3)])


async def test_a_damaged_row_of_many_becomes_a_gap_that_names_them(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        epoch = outbox.epoch
        await outbox.append([record(clock, number) for number in range(1, 101)])
        await outbox.settle(upto=3, ranges=[(30, 31)])
    _flip_bit_of(path, seq=33)
    async with sqlite_outbox(path, clock) as outbox:
        await outbox.settle(upto=3, ranges=[(40, 45)])  # cannot be cut out of what cannot be read
        bodies = await taken(outbox)
        bodies += await taken(outbox)
        assert outbox.epoch == epoch
        assert outbox.status().records == 95 - 32 + 1
    assert numbers(bodies) == [*range(4, 30), 32, *range(65, 101)]
    _, [gap] = reports(bodies)
    assert (gap.cause, gap.count, gap.seqs) == ("corrupt", 32, [(33, 64)])


async def test_a_damaged_row_that_tells_a_wrong_length_is_named_whole(tmp_path: Path) -> None:
    """It cannot be asked how many records it held: every number it may have had is named."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await outbox.append([record(clock, number) for number in range(1, 101)])
    _flip_bit_of(path, seq=33)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE record SET kind = kind % 16 WHERE seq = 33")
    async with sqlite_outbox(path, clock) as outbox:
        bodies = await taken(outbox)
        bodies += await taken(outbox)
    assert numbers(bodies) == [*range(1, 33), *range(65, 101)]
    _, [gap] = reports(bodies)
    assert (gap.cause, gap.count, gap.seqs) == ("corrupt", 1, [(33, 64)])


async def test_a_row_that_lies_about_its_length_is_damage(tmp_path: Path) -> None:
    """The number of records stands in clear too; what is sealed decides."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        epoch = outbox.epoch
        await outbox.append([record(clock, number) for number in range(1, 101)])
    for changed in ("kind - 16 * 5", "kind % 16", "kind + 16", "kind + 16 * 50"):
        with closing(sqlite3.connect(path)) as connection, connection:
            sql = f"UPDATE record SET kind = {changed} WHERE seq = (SELECT min(seq) FROM record)"
            connection.execute(sql)
        async with sqlite_outbox(path, clock) as outbox:
            bodies = await taken(outbox)
            await outbox.give_back()
            await salvaged(outbox)
            bodies = await taken(outbox)
            assert outbox.epoch != epoch
            epoch = outbox.epoch
        assert numbers(bodies) == list(range(1, 101))


async def test_salvage_goes_on_after_a_restart_and_repeats_nothing(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock)
        await outbox.renew_epoch("rolled-back")
    for _ in range(3):
        async with sqlite_outbox(path, clock) as outbox:
            await outbox.append([record(clock, ROWS, event="new")])
    async with sqlite_outbox(path, clock) as outbox:
        await salvaged(outbox)
        bodies = await taken(outbox)
    assert numbers(bodies) == list(range(ROWS + 1))
    [status], _ = reports(bodies)
    assert status.data["cause"] == "rolled-back"
    assert not names(tmp_path, "*aside*")


async def test_an_event_read_again_meanwhile_is_not_salvaged_twice(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await fill(outbox, clock, 500)
        await outbox.renew_epoch("rolled-back")
        await outbox.append([record(clock, 499, event="event 499")])
        await salvaged(outbox)
        assert numbers(await taken(outbox)) == list(range(500))


async def test_salvaged_rows_keep_their_series_boot_and_anchors(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    key = SeriesKey("ble:001122334455", 7)
    async with sqlite_outbox(path, clock) as outbox:
        body = EventBody(0, TimeMethod.RECEIPT, None, 0, None, None, [outbox.series_number(key)],
                         [1], [0])  # fmt: skip
        new = record(clock, 0)
        await outbox.append([type(new)(Lane.LIVE, None, 1, 2, encode_body(body))])
        anchor = Anchor(outbox.boot, 5, 6, 7, ClockQuality.SERVER)
        await outbox.add_anchor(anchor)
    clock.reboot("boot-2")
    damage(path, [0])
    async with sqlite_outbox(path, clock) as outbox:
        await salvaged(outbox)
        assert outbox.boot == 2
        [kept] = await outbox.take(Choice.BACKFILL, max_records=1, max_bytes=MUCH)
        assert (kept.boot, kept.mono_ms, kept.wall_ms) == (1, 1, 2)
        found = decode_body(kept.body)
        assert isinstance(found, EventBody)
        assert [entry.key for entry in outbox.series(found.series)] == [key]
        assert [one.utc_ms for one in outbox.anchors()] == [anchor.utc_ms]


async def test_a_wrong_key_is_said_and_touches_nothing(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await outbox.append([record(clock, 1)])
    with pytest.raises(ConfigError, match="key"):
        async with sqlite_outbox(path, clock, key=bytes(32)):
            pass
    async with sqlite_outbox(path, clock, key=KEY) as outbox:
        assert numbers(await taken(outbox)) == [1]


@pytest.mark.parametrize("end", ["", "-wal", ".trace"])
async def test_a_folder_in_the_place_of_a_file_is_named_and_stays(tmp_path: Path, end: str) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    place = tmp_path / f"outbox.db{end}"
    place.mkdir()
    with pytest.raises(ConfigError, match="no file; move it away"):
        async with sqlite_outbox(path, clock):
            pass
    assert place.is_dir()
    place.rmdir()
    async with sqlite_outbox(path, clock) as outbox:
        assert await outbox.append([record(clock, 1)])


async def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock) as outbox:
        await outbox.append([record(clock, 1)])
        with pytest.raises(StorageError, match="another process"):
            async with sqlite_outbox(path, clock):
                pass
        assert await outbox.append([record(clock, 2)]) == [2]


async def test_nothing_of_a_record_stands_in_clear(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    async with sqlite_outbox(path, clock, given=settings()) as outbox:
        outbox.series_number(SeriesKey("ble:SECRETDEVICE", 1))
        secret = encode_body(StatusBody("ble:SECRETDEVICE", "SECRETNAME", {}))
        new = record(clock, 1, event="cuff")
        assert new.event_id is not None
        await outbox.append([type(new)(Lane.LIVE, new.event_id, 1, 2, secret)])
        await outbox.settle(upto=0, rejected=[(1, "no such metric")])
        content = content_of(tmp_path)
    assert b"SECRET" not in content
    assert new.event_id not in content


def _flip_bit_of(path: Path, seq: int) -> None:
    """Inside the ciphertext: SQLite cannot notice."""
    content = bytearray(path.read_bytes())
    content[content.index(_sealed_body_of(path, seq)) + 40] ^= 1
    path.write_bytes(content)


def _sealed_body_of(path: Path, seq: int) -> bytes:
    connection = sqlite3.connect(path)
    try:
        [(body,)] = connection.execute("SELECT body FROM record WHERE seq = ?", (seq,)).fetchall()
    finally:
        connection.close()
    assert isinstance(body, bytes)
    return body
