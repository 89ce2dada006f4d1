"""What an import would do is what it does: files of the folder count for each other."""

from pathlib import Path
from typing import Any

from support.image_rows import instance
from support.memory_objects import MemoryObjects
from wardlight_cloud.imaging.folder import FoundFile
from wardlight_cloud.imaging.importing import Importer
from wardlight_cloud.store.image_arrivals import InstanceHeader, Source
from wardlight_cloud.store.imaging import InstanceRef


class Nothing:
    """An index without images, and headers that say the UID of the file's first word."""

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        return None

    async def read(self, path: Path) -> InstanceHeader:
        return instance(path.read_text().split()[0]).header  # noqa: ASYNC240 - a small file


async def test_a_dry_run_knows_the_files_that_it_has_seen(tmp_path: Path) -> None:
    texts = ("1.1 a", "1.1 a", "1.1 b", "1.1 b", "1.2 a")
    nothing: Any = Nothing()
    importer = Importer(
        nothing, MemoryObjects(), nothing, nothing,
        data_dir=tmp_path, largest_bytes=1000, is_dry=True,
    )  # fmt: skip
    for number, text in enumerate(texts):
        path = tmp_path / str(number)
        path.write_text(text)
        await importer.take(FoundFile(path, len(text)), Source("import"))
    assert importer.report.counts == {"new": 2, "known": 2, "conflict": 1}
