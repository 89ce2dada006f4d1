"""An export is brought to the disk and told to the store while it goes on being written."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from support.waiting import wait_until
from wardlight_cloud.fhir.bulk import saving
from wardlight_cloud.fhir.bulk.folder import ExportFolder, Writer
from wardlight_cloud.fhir.bulk.saving import LostError, Progress, Saving, TooMuchError

LINE = b"{}\n"


class Slow:
    """A disk that flushes nothing until it is told to."""

    def __init__(self) -> None:
        self.may_flush = threading.Event()
        self.begun = 0
        self.closed: list[int] = []

    def fsync(self, descriptor: int) -> None:
        self.begun += 1
        assert self.may_flush.wait(60)
        os.fstat(descriptor)  # OSError where it was closed meanwhile


class Told:
    """What the store knows."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.keeps = True
        self.octets = 0

    async def save_export(
        self, _id: Any, _holder: str, progress: bytes, *_: Any, **__: Any
    ) -> bool:
        self.progress.append(msgspec.msgpack.decode(progress, type=Progress))
        return self.keeps

    async def export_octets(self) -> int:
        return self.octets

    def sizes(self) -> list[int]:
        return [sum(each.size for each in progress.files) for progress in self.progress]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(os, "fsync", slow.fsync)
    monkeypatch.setattr(saving, "_SAVE_S", 0)
    return slow


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with ExportFolder(tmp_path).writer(uuid4(), 1, (), largest=1000) as made:
        yield made


def saving_of(told: Told, writer: Writer) -> Saving:
    export: Any = SimpleNamespace(export_id=uuid4())
    store: Any = told
    return Saving(store, export, "me", writer, Progress(), quota=100)


async def test_what_is_written_meanwhile_is_not_yet_told(disk: Slow, writer: Writer) -> None:
    told = Told()
    async with saving_of(told, writer) as save:
        for number in range(5):
            writer.write("Patient", LINE, 1)
            await save.written(0, str(number).encode())
        await wait_until(lambda: disk.begun == 1, what="a thread flushes")
        assert told.progress == []
        disk.may_flush.set()
        await wait_until(lambda: bool(told.progress), what="the store is told")
        assert told.sizes() == [len(LINE)]
        assert told.progress[0].place == b"0"
        await save.written(0, b"5")
        await wait_until(lambda: len(told.progress) == 2, what="the store is told the rest")
        assert told.sizes() == [len(LINE), 5 * len(LINE)]
        await save.ended(1)
        assert sum(each.size for each in await save.flushed()) == 5 * len(LINE)


async def test_no_more_than_a_bound_is_unsaved(
    disk: Slow, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "_UNSAVED_OCTETS", 2 * len(LINE))
    told = Told()
    async with saving_of(told, writer) as save:
        writer.write("Patient", LINE, 1)
        await save.written(0, b"0")
        writer.write("Patient", LINE, 1)
        await save.written(0, b"1")
        writer.write("Patient", LINE, 1)
        threading.Timer(0.0, disk.may_flush.set).start()
        await save.written(0, b"2")
        assert told.sizes() == [len(LINE)], "it waited for the first one"


@pytest.mark.parametrize(
    ("keeps", "octets", "expected"), [(False, 0, LostError), (True, 101, TooMuchError)]
)
async def test_the_work_ends_when_a_saving_came_to_nothing(
    disk: Slow, writer: Writer, keeps: bool, octets: int, expected: type[Exception]
) -> None:
    told = Told()
    told.keeps, told.octets = keeps, octets
    disk.may_flush.set()
    with pytest.raises(expected):
        async with saving_of(told, writer) as save:
            writer.write("Patient", LINE, 1)
            await save.written(0, b"0")
            await wait_until(lambda: bool(told.progress), what="the store is told")
            while True:
                await save.written(0, b"1")


async def test_a_failure_waits_for_the_thread_that_has_the_files(
    disk: Slow, writer: Writer
) -> None:
    """A descriptor that was closed beside it may be another file's by then."""
    told = Told()
    with pytest.raises(ValueError, match="a defect"):
        async with saving_of(told, writer) as save:
            writer.write("Patient", LINE, 1)
            await save.written(0, b"0")
            await wait_until(lambda: disk.begun == 1, what="a thread flushes")
            threading.Timer(0.0, disk.may_flush.set).start()
            raise ValueError("a defect")
    assert told.sizes() == [len(LINE)]


async def test_the_end_of_the_work_tells_of_a_saving_that_failed(
    disk: Slow, writer: Writer
) -> None:
    told = Told()
    told.keeps = False
    disk.may_flush.set()
    with pytest.raises(LostError):
        async with saving_of(told, writer) as save:
            writer.write("Patient", LINE, 1)
            await save.written(0, b"0")


async def test_a_part_behind_which_nobody_can_go_on_tells_the_place_before(
    disk: Slow, writer: Writer
) -> None:
    told = Told()
    disk.may_flush.set()
    async with saving_of(told, writer) as save:
        writer.write("Patient", LINE, 1)
        await save.written(0, b"0")
        await wait_until(lambda: len(told.progress) == 1, what="the first")
        writer.write("Patient", LINE, 1)
        await save.written(0, None)
        await wait_until(lambda: len(told.progress) == 2, what="the lease is renewed")
        assert told.progress[1] == told.progress[0]


def test_files_that_are_full_are_closed_by_who_flushes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExportFolder(tmp_path).writer(uuid4(), 1, (), largest=1) as writer:
        for _ in range(3):
            writer.write("Patient", LINE, 1)
        mark = writer.mark()
        assert [each.count for each in mark.files] == [1, 1, 1]
        mark.flush()
        assert [file.closed for file in mark._ended] == [True, True]
        assert not any(file.closed for file in mark._going_on)
        writer.write("Device", LINE, 1)
        assert len(writer.mark().files) == 4
