"""Octets of an object that moves to the second place while it is about to be read."""

import hashlib
from pathlib import Path

import pytest

from wardlight_cloud.dicomweb.octets import Octets, Slice
from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.tiered_objects import TieredObjects


class _Moving(TieredObjects):
    """Its first place tells where an object is, and then it is there no longer."""

    def local_path(self, sha256: bytes) -> Path | None:
        path = super().local_path(sha256)
        if path is not None:
            path.unlink()
        return path


async def test_an_object_that_is_moved_meanwhile_is_read_where_it_is(tmp_path: Path) -> None:
    hot = await FolderObjects(tmp_path / "hot").open()
    cold = await FolderObjects(tmp_path / "cold").open()
    octets = bytes(range(256)) * 9
    digest = hashlib.sha256(octets).digest()
    for place in (hot, cold):
        await place.put(digest, octets)
    assert await Octets(_Moving(hot, cold)).joined((Slice(digest, 7, 2000),)) == octets[7:2000]
    assert await hot.size(digest) is None
    with pytest.raises(ObjectMissingError):
        await Octets(_Moving(hot, cold)).joined((Slice(digest, 0, 9),))
