"""Every compressed transfer syntax comes to peers that take none, pixel by pixel.

dcmtk's getscu, movescu and storescp with their own choice of transfer syntaxes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from pydicom.dataset import Dataset

from support.compressed_files import compressed_files, each_of, samples_of
from support.dicom_files import dataset_of
from support.dicom_process import LOOPBACK, DicomServer, dicom_server, store_scp
from support.image_stock import image_stock
from support.postgres import FreshDatabase, TestServer
from support.store import SCHEMA
from support.waiting import wait_until
from wardlight_cloud.config import Settings
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardTarget
from wardlight_cloud.store.open import open_store

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"


@dataclass(frozen=True)
class Archive:
    """What is stored, by SOP Instance UID, and who gives it out."""

    store: Store
    server: DicomServer
    files: dict[str, Dataset]
    names: dict[str, str]

    def study_uids(self) -> str:
        return "\\".join(str(file.StudyInstanceUID) for file in self.files.values())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    folder = tmp_path_factory.mktemp("compressed")
    fresh = FreshDatabase(postgres_server, [])
    settings = Settings.model_validate(
        {"data_dir": folder, "database": {"dsn": await fresh(SCHEMA), "pool_size": 4}}
    )
    store = await open_store(settings)
    files, names = {}, {}
    async with image_stock(store, settings) as stock:
        for name, octets in compressed_files(tmp_path_factory.mktemp("coded")).items():
            await stock.add(octets)
            file = dataset_of(octets)
            files[file.SOPInstanceUID], names[file.SOPInstanceUID] = file, name
    await store.put_node(DicomNode("PEER", LOOPBACK))
    async with dicom_server(settings) as server:
        yield Archive(store, server, files, names)
    await store.close()
    for name in fresh.names:
        await postgres_server.drop(name)


def check(archive: Archive, folder: Path) -> None:
    """All came, and each is what is stored."""
    came = {file.SOPInstanceUID: file for file in each_of(folder)}
    assert not {archive.names[uid] for uid in archive.files.keys() - came.keys()}
    for uid, file in came.items():
        stored = archive.files[uid]
        assert not file.file_meta.TransferSyntaxUID.is_encapsulated, archive.names[uid]
        assert samples_of(file) == samples_of(stored), archive.names[uid]
        shape = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
        for keyword in shape:
            assert file[keyword].value == stored[keyword].value, archive.names[uid]


async def test_the_files_are_of_every_kind(archive: Archive) -> None:
    kinds = {file.file_meta.TransferSyntaxUID for file in archive.files.values()}
    base = "1.2.840.10008.1.2."
    expected = ("5", "4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91")
    assert kinds >= {base + each for each in expected}


@pytest.mark.parametrize("option", ["+x=", "+xs", "+xi"])
async def test_by_get(archive: Archive, tmp_path: Path, option: str) -> None:
    """+xs: one context that names JPEG Lossless first, and uncompressed ones."""
    got = await archive.server.asked(
        "getscu", "-S", option, "-od", str(tmp_path),
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study_uids()}",
    )  # fmt: skip
    assert got.code == 0, got.text
    check(archive, tmp_path)


async def test_by_move_to_who_takes_no_compression(archive: Archive, tmp_path: Path) -> None:
    async with store_scp(tmp_path, ae_title="PLAIN") as port:
        await archive.store.put_node(DicomNode("PLAIN", LOOPBACK, port, rights=()))
        moved = await archive.server.asked(
            "movescu", "-v", "-S", "-aem", "PLAIN",
            "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study_uids()}",
        )  # fmt: skip
    assert "Received Final Move Response (Success)" in moved.text
    check(archive, tmp_path)


async def test_by_move_as_stored_where_that_is_taken(archive: Archive, tmp_path: Path) -> None:
    """A peer that takes a syntax for a SOP class gets it so."""
    async with store_scp(tmp_path, "+xs", "+B", ae_title="LOSSLESS") as port:
        await archive.store.put_node(DicomNode("LOSSLESS", LOOPBACK, port, rights=()))
        moved = await archive.server.asked(
            "movescu", "-v", "-S", "-aem", "LOSSLESS",
            "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study_uids()}",
        )  # fmt: skip
    assert "Received Final Move Response (Success)" in moved.text
    came = list(each_of(tmp_path))
    assert len(came) == len(archive.files)
    for file in came:
        stored = archive.files[file.SOPInstanceUID]
        is_as_stored = file.file_meta.TransferSyntaxUID == LOSSLESS_SV1
        assert is_as_stored == (stored.file_meta.TransferSyntaxUID == LOSSLESS_SV1)


async def test_by_a_rule_to_who_takes_no_compression(archive: Archive, tmp_path: Path) -> None:
    store = archive.store
    async with store_scp(tmp_path, ae_title="PLAIN") as port:
        await store.put_node(DicomNode("PLAIN", LOOPBACK, port, rights=()))
        rule = ForwardRule("plain", "modality", "ZZ", ForwardTarget("PLAIN"))
        await store.put_rule(rule, from_beginning=True)

        async def are_sent() -> bool:
            (status,) = await store.forward_status()
            assert not status.dead, await store.dead_items()
            return status.sent == len(archive.files)

        await wait_until(are_sent, 180, "the rule has sent all")
    check(archive, tmp_path)
    assert await store.remove_rule("plain")
