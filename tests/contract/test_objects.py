"""ObjectStore: the same promises on a folder, on S3 (SeaweedFS) and on two places as one."""

import hashlib
import itertools
import secrets
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.object_server import ObjectServer
from wardlight_cloud.config import ObjectPlace
from wardlight_cloud.store.object_base import ObjectMissingError, ObjectStore
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.object_room import LEAST_FREE_BYTES, NoRoomError
from wardlight_cloud.store.object_whole import is_whole
from wardlight_cloud.store.objects import BucketObjects, open_place
from wardlight_cloud.store.tiered_objects import TieredObjects

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3), "tiers"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    if request.param == "s3":
        server: ObjectServer = request.getfixturevalue("object_server")
        made = await open_place(server.place(), tmp_path)
    elif request.param == "folder":
        made = await open_place(ObjectPlace(), tmp_path / "objects")
    else:
        made = TieredObjects(
            await FolderObjects(tmp_path / "hot").open(), await FolderObjects(tmp_path / "c").open()
        )
    yield made
    await made.close()


def _object(size: int) -> tuple[bytes, bytes]:
    octets = secrets.token_bytes(size)
    return hashlib.sha256(octets).digest(), octets


async def _whole(objects: ObjectStore, sha256: bytes, *span: int) -> bytes:
    pieces = [piece async for piece in objects.stream(sha256, *span)]
    assert all(0 < len(piece) <= MIB for piece in pieces)
    return b"".join(pieces)


async def test_what_is_put_is_read(objects: ObjectStore) -> None:
    sha256, octets = _object(3 * MIB + 17)
    await objects.put(sha256, octets)
    await objects.put(sha256, octets)
    assert await objects.size(sha256) == len(octets)
    assert await objects.read(sha256) == octets
    assert await objects.read(sha256, 5, 25) == octets[5:25]
    assert await objects.read(sha256, len(octets) - 3) == octets[-3:]
    assert await objects.read(sha256, len(octets) - 3, len(octets) + 9) == octets[-3:]
    assert await objects.read(sha256, 7, 7) == b""
    assert await _whole(objects, sha256) == octets
    assert await _whole(objects, sha256, MIB - 1, MIB + 2) == octets[MIB - 1 : MIB + 2]
    path = objects.local_path(sha256)
    assert path is None or path.read_bytes() == octets


async def test_an_object_that_is_not_there(objects: ObjectStore) -> None:
    sha256, octets = _object(10)
    assert await objects.size(sha256) is None
    assert objects.local_path(sha256) is None
    with pytest.raises(ObjectMissingError):
        await objects.read(sha256)
    with pytest.raises(ObjectMissingError):
        await _whole(objects, sha256)
    await objects.delete(sha256)
    await objects.put(sha256, octets)
    await objects.delete(sha256)
    assert await objects.size(sha256) is None


async def test_a_file_moves_into_the_store(objects: ObjectStore, tmp_path: Path) -> None:
    sha256, octets = _object(100 * KIB)
    for number in range(2):
        file = tmp_path / f"made-{number}"
        file.write_bytes(octets)
        await objects.put_file(sha256, file)
        assert not file.exists()
    assert await objects.read(sha256) == octets


async def test_hashes_come_in_order_and_parts_are_none(objects: ObjectStore) -> None:
    made = dict(_object(size) for size in (1, 20, 300, 4000))
    for sha256, octets in made.items():
        await objects.put(sha256, octets)
    arriving, octets = _object(10)
    await objects.put_part(arriving, 0, octets)
    found = [each async for each in objects.hashes()]
    assert found == sorted((sha256, len(octets)) for sha256, octets in made.items())


@pytest.mark.parametrize("size", [1, 4096, 3 * MIB, 9 * MIB + 5])
async def test_parts_in_any_order_become_the_object(objects: ObjectStore, size: int) -> None:
    sha256, octets = _object(size)
    assert list(await objects.parts(sha256)) == []
    cuts = [*range(0, size, 2 * MIB), size]
    spans = list(itertools.pairwise(cuts))
    for first, end in reversed(spans):
        await objects.put_part(sha256, first, octets[first:end])
    first, end = spans[0]
    await objects.put_part(sha256, first, octets[first:end])
    assert list(await objects.parts(sha256)) == [(0, size)]
    assert await objects.size(sha256) is None
    assert await objects.assemble(sha256, size)
    assert list(await objects.parts(sha256)) == []
    assert await _whole(objects, sha256) == octets
    assert await objects.assemble(sha256, size)  # a receipt may be asked for again


async def test_parts_may_overlap(objects: ObjectStore) -> None:
    sha256, octets = _object(100)
    for first, end in ((0, 40), (30, 60), (20, 35), (60, 100), (0, 10)):
        await objects.put_part(sha256, first, octets[first:end])
    assert await objects.assemble(sha256, 100)
    assert await objects.read(sha256) == octets


@pytest.mark.parametrize(
    "parts", [[(0, 40), (50, 100)], [(10, 100)], [(0, 90)], [(0, 100), (100, 110)], []]
)
async def test_gaps_and_octets_beyond_the_end_count_as_another_hash(
    objects: ObjectStore, parts: list[tuple[int, int]]
) -> None:
    sha256, octets = _object(100)
    for first, end in parts:
        await objects.put_part(sha256, first, (octets + bytes(20))[first:end])
    assert not await objects.assemble(sha256, 100)
    assert list(await objects.parts(sha256)) == []
    assert await objects.size(sha256) is None


@pytest.mark.parametrize("size", [100, 9 * MIB])
async def test_another_hash_leaves_nothing(objects: ObjectStore, size: int) -> None:
    sha256, _ = _object(size)
    _, other = _object(size)
    for cut in (size // 2, size):
        await objects.put_part(sha256, 0, other[:cut])
        await objects.put_part(sha256, cut, other[cut:])
        assert not await objects.assemble(sha256, size)
        assert await objects.size(sha256) is None
        assert list(await objects.parts(sha256)) == []


_DAMAGE = (lambda o: bytes([o[0] ^ 1]) + o[1:], lambda o: o[:-1], lambda o: o + b"x", lambda _: b"")


@pytest.mark.parametrize("way", ["put", "put_file", "assemble"])
async def test_what_is_damaged_is_replaced_by_what_comes(
    objects: ObjectStore, tmp_path: Path, way: str
) -> None:
    """Octets that are not those of the hash are no reason to keep them: a good copy may be lost."""
    places = [objects.hot, objects.cold] if isinstance(objects, TieredObjects) else [objects]
    for place, damage in itertools.product(places, _DAMAGE):
        sha256, octets = _object(5000)
        await place.put(sha256, damage(octets))
        assert not await is_whole(objects, sha256)
        if way == "put":
            await objects.put(sha256, octets)
        elif way == "put_file":
            file = tmp_path / "file"
            file.write_bytes(octets)
            await objects.put_file(sha256, file)
            assert not file.exists()
        else:
            await objects.put_part(sha256, 4096, octets[4096:])
            assert not await objects.assemble(sha256, 5000), "what is damaged is not the object"
            await objects.put_part(sha256, 4096, octets[4096:])
            await objects.put_part(sha256, 0, octets[:4096])
            assert await objects.assemble(sha256, 5000)
        assert await objects.durable_size(sha256) == 5000
        assert await _whole(objects, sha256) == octets
        assert await is_whole(objects, sha256)
        assert list(await objects.parts(sha256)) == []


async def test_what_is_whole_stays_where_it_is(objects: ObjectStore, tmp_path: Path) -> None:
    sha256, octets = _object(5000)
    place = objects.cold if isinstance(objects, TieredObjects) else objects
    await place.put(sha256, octets)
    at = await objects.stored_at(sha256)
    file = tmp_path / "file"
    file.write_bytes(octets)
    await objects.put_file(sha256, file)
    if not isinstance(objects, BucketObjects):  # which puts it again
        await objects.put(sha256, octets)
        assert await objects.stored_at(sha256) == at
    assert await objects.assemble(sha256, 5000)
    assert await objects.is_cold(sha256) is isinstance(objects, TieredObjects)
    assert await objects.read(sha256) == octets


async def test_dropped_parts_are_forgotten(objects: ObjectStore) -> None:
    sha256, octets = _object(100)
    await objects.put_part(sha256, 0, octets)
    await objects.drop_parts(sha256)
    await objects.drop_parts(sha256)
    assert list(await objects.parts(sha256)) == []


async def test_no_hash_is_no_name(objects: ObjectStore) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        await objects.put(b"../../etc/passwd", b"")
    with pytest.raises(ValueError, match="SHA-256"):
        await objects.size(b"short")


async def test_what_never_became_whole_is_forgotten_and_nothing_else(objects: ObjectStore) -> None:
    left, whole = hashlib.sha256(b"left").digest(), b"whole" * 10
    kept = hashlib.sha256(whole).digest()
    await objects.put(kept, whole)
    await objects.put_part(left, 0, b"x" * 50)
    assert await objects.drop_stale_parts(3600) == 0
    assert list(await objects.parts(left)) == [(0, 50)]
    # Clocks of file systems and of S3 may differ from ours by some seconds.
    assert await objects.drop_stale_parts(-3600) == 1
    assert list(await objects.parts(left)) == []
    assert await objects.read(kept) == whole


async def test_an_object_has_a_durable_size_and_a_time(objects: ObjectStore) -> None:
    sha256, octets = _object(100)
    assert await objects.durable_size(sha256) is None
    assert await objects.stored_at(sha256) is None
    await objects.put(sha256, octets)
    assert await objects.durable_size(sha256) == 100
    at = await objects.stored_at(sha256)
    assert at is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 600


async def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = await FolderObjects(tmp_path / "objects").open()
    sha256, octets = _object(2 * MIB)
    await objects.put_part(sha256, 0, octets[:MIB])
    await objects.put_part(sha256, MIB, octets[MIB:])
    free = shutil.disk_usage(tmp_path)._replace(free=LEAST_FREE_BYTES + MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(NoRoomError):
        await objects.put(*_object(MIB + 1))
    with pytest.raises(NoRoomError):
        await objects.put_part(*_object_at(MIB + 1))
    with pytest.raises(NoRoomError):
        await objects.assemble(sha256, 2 * MIB)
    assert list(await objects.parts(sha256)) == [(0, 2 * MIB)], "what has come stays"
    assert [each async for each in objects.hashes()] == []
    small, little = _object(MIB - 1)
    await objects.put(small, little)
    await objects.put(small, little)


def _object_at(size: int) -> tuple[bytes, int, bytes]:
    sha256, octets = _object(size)
    return sha256, 0, octets
