"""What is read stays readable while it is moved to the second place, in whatever process."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from support.dicom_files import sha256
from wardlight_cloud.imaging.held_path import held_path
from wardlight_cloud.imaging.intake import local_file
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.tiered_objects import TieredObjects
from wardlight_shared.errors import StorageError

OCTETS = b"octets of an object"
DIGEST = sha256(OCTETS)


@pytest.fixture
async def tiers(tmp_path: Path) -> TieredObjects:
    hot = await FolderObjects(tmp_path / "hot").open()
    await hot.put(DIGEST, OCTETS)
    return TieredObjects(hot, await FolderObjects(tmp_path / "cold").open())


async def moved(tiers: TieredObjects) -> None:
    await tiers.copy_to_cold(DIGEST)
    await tiers.hot.delete(DIGEST)


async def test_what_is_moved_while_it_is_held_is_read_to_its_end(tiers: TieredObjects) -> None:
    """By this process and by those it starts, which are told the path."""
    tell = "import sys; sys.stdout.write(open(sys.argv[1]).read())"
    with held_path(tiers.local_path, DIGEST) as path:
        assert path is not None
        await moved(tiers)
        assert path.read_bytes() == OCTETS
        told = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", tell, str(path)], capture_output=True, check=True
        )
        assert told.stdout == OCTETS
    assert not path.exists()
    async with local_file(tiers, DIGEST) as path:
        await tiers.delete(DIGEST)
        assert path.read_bytes() == OCTETS


async def test_what_is_moved_before_it_is_opened_is_found_where_it_is(
    tiers: TieredObjects,
) -> None:
    told = [tiers.local_path(DIGEST)]
    await moved(tiers)

    def local_path(digest: bytes) -> Path | None:
        return told.pop() if told else tiers.local_path(digest)

    with held_path(local_path, DIGEST) as path:
        assert path is not None
        assert path.read_bytes() == OCTETS


async def test_what_is_no_file_here_is_none(tiers: TieredObjects, tmp_path: Path) -> None:
    with held_path(tiers.local_path, bytes(32)) as path:
        assert path is None
    with held_path(lambda _: tmp_path / "gone", DIGEST) as path:
        assert path is None
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StorageError), held_path(lambda _: tmp_path / "loop", DIGEST):
        pass
