"""Processes that decode: one that hangs or dies costs one request, and never the API."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.dicom_files import bundled, image, octets_of
from support.waiting import wait_until
from wardlight_cloud.dicomweb.errors import DicomWebError
from wardlight_cloud.dicomweb.gallery import Gallery
from wardlight_cloud.dicomweb.jobs import Picture, RawFrame, Window
from wardlight_cloud.dicomweb.octets import Octets, Segment
from wardlight_cloud.dicomweb.workshop import Workshop
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.tiered_objects import TieredObjects

PNG = Picture(1, "image/png")


class RemoteObjects(FolderObjects):
    """Objects that are no files of this machine, as those on S3."""

    def local_path(self, sha256: bytes) -> None:
        return None


def ref_of(name: bytes, octets: bytes) -> InstanceRef:
    return InstanceRef(
        "1", "1.1", "1.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", name, len(octets),
        1, 16, 16, 1, "hot", datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture
async def objects(tmp_path: Path) -> FolderObjects:
    return await FolderObjects(tmp_path / "objects").open()


@pytest.fixture
async def workshop(objects: FolderObjects, tmp_path: Path) -> AsyncIterator[Workshop]:
    """One process with a second for each job."""
    made = Workshop(
        Octets(objects), scratch=tmp_path / "scratch", processes=1, limit_s=5.0,
        memory_bytes=1 << 30,
    )  # fmt: skip
    async with made:
        yield made


async def kept(objects: FolderObjects, octets: bytes) -> InstanceRef:
    name = os.urandom(32)
    await objects.put(name, octets)
    return ref_of(name, octets)


def pid_of(workshop: Workshop) -> int:
    process = workshop._benches[0]._process
    assert process is not None
    return process.pid


async def test_a_process_that_hangs_is_replaced(workshop: Workshop, objects: FolderObjects) -> None:
    ref = await kept(objects, octets_of(image()))
    picture = await workshop.make(ref, PNG)
    first = pid_of(workshop)
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(DicomWebError, match="longer") as caught:
        await workshop.make(ref, PNG)
    assert caught.value.status == 406
    assert await workshop.make(ref, PNG) == picture
    assert pid_of(workshop) != first


async def test_a_process_that_dies_is_replaced(workshop: Workshop, objects: FolderObjects) -> None:
    ref = await kept(objects, octets_of(image()))
    picture = await workshop.make(ref, PNG)
    os.kill(pid_of(workshop), signal.SIGKILL)
    results = [await _tried(workshop, ref) for _ in range(2)]
    assert results[-1] == picture


async def _tried(workshop: Workshop, ref: InstanceRef) -> Segment | int:
    try:
        return await workshop.make(ref, PNG)
    except DicomWebError as error:
        return error.status


async def test_who_goes_away_leaves_no_answer_for_the_next(
    workshop: Workshop, objects: FolderObjects
) -> None:
    small = await kept(objects, octets_of(image(side=8)))
    film = await kept(objects, bundled("examples_ybr_color.dcm"))
    await workshop.make(small, PNG)
    going = asyncio.create_task(workshop.make(film, Picture(0, "image/gif")))
    await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    made = await workshop.make(small, PNG)
    assert isinstance(made, bytes)
    found = Image.open(io.BytesIO(made))
    assert found.size == (8, 8)


async def test_processes_end_with_the_workshop(objects: FolderObjects, tmp_path: Path) -> None:
    ref = await kept(objects, octets_of(image()))
    async with Workshop(
        Octets(objects), scratch=tmp_path, processes=2, limit_s=30.0, memory_bytes=1 << 30
    ) as workshop:
        await workshop.make(ref, PNG)
        pids = [bench._process.pid for bench in workshop._benches if bench._process is not None]
        assert len(pids) == 1, "a process starts when it is needed"
    await wait_until(lambda: not Path(f"/proc/{pids[0]}").exists(), 20, "the process has ended")


async def test_objects_elsewhere_are_copied_for_the_time_of_a_job(tmp_path: Path) -> None:
    remote = RemoteObjects(tmp_path / "objects")
    await remote.open()
    ref = await kept(remote, octets_of(image(side=8)))
    scratch = tmp_path / "scratch"
    async with Workshop(
        Octets(remote), scratch=scratch, processes=1, limit_s=30.0, memory_bytes=1 << 30
    ) as workshop:
        assert len(await workshop.make(ref, RawFrame(1))) == 8 * 8 * 2
    assert list(scratch.iterdir()) == []


async def test_what_is_moved_meanwhile_is_made_all_the_same(tmp_path: Path) -> None:
    """Its name is gone when the process that decodes opens it."""
    hot = await FolderObjects(tmp_path / "hot").open()
    cold = await FolderObjects(tmp_path / "cold").open()
    octets = octets_of(image(side=8))
    ref = await kept(hot, octets)

    class Slow(Workshop):
        async def _made(self, bench: Any, ref: InstanceRef, job: Any) -> Segment:
            await cold.put(ref.sha256, octets)
            await hot.delete(ref.sha256)
            return await super()._made(bench, ref, job)

    objects = Octets(TieredObjects(hot, cold))
    limits: Any = {"processes": 1, "limit_s": 30.0, "memory_bytes": 1 << 30}
    async with Slow(objects, scratch=tmp_path / "scratch", **limits) as workshop:
        assert len(await workshop.make(ref, RawFrame(1))) == 8 * 8 * 2


async def test_a_picture_is_made_once_and_kept_while_there_is_room(
    workshop: Workshop, objects: FolderObjects
) -> None:
    ref = await kept(objects, octets_of(image()))
    gallery = Gallery(workshop, room_bytes=64 << 10)
    pictures = await asyncio.gather(*(gallery.made(ref, PNG) for _ in range(20)))
    assert len({id(each) for each in pictures}) == 1
    for center in range(1, 400):
        gallery._keep(gallery.key(ref, Picture(1, "image/png", Window(center, 10))), bytes(1000))
    assert gallery._held_bytes <= 64 << 10
    assert gallery._held_bytes == sum(map(len, gallery._held.values()))
    assert gallery.key(ref, PNG) not in gallery._held
