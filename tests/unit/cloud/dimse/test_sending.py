"""What is sent stays readable while it is moved to the second place."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.dicom_files import sha256
from wardlight_cloud.dimse.sending import Sender
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.tiered_objects import TieredObjects

OCTETS = b"octets of an object"
REF = InstanceRef(
    "1", "1.1", "1.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", sha256(OCTETS),
    len(OCTETS), 1, 16, 16, 1, "hot", datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


async def test_what_is_moved_while_it_is_sent_is_sent(tmp_path: Path) -> None:
    hot = await FolderObjects(tmp_path / "hot").open()
    cold = await FolderObjects(tmp_path / "cold").open()
    await hot.put(REF.sha256, OCTETS)
    nothing: Any = None
    with Sender(TieredObjects(hot, cold), nothing, nothing).stored(REF) as file:
        await cold.put(REF.sha256, OCTETS)
        await hot.delete(REF.sha256)
        assert file.read_bytes() == OCTETS
