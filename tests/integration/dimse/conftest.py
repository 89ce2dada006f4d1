"""One store with pydicom's files, one DICOM process and one target, for the tests of a file."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from pydicom.dataset import Dataset

from support.dicom_files import bundled, image, octets_of
from support.dicom_process import LOOPBACK, DicomServer, dicom_server, store_scp
from support.image_stock import ImageStock, image_stock
from support.import_box import Box, empty_box
from support.postgres import FreshDatabase, TestServer
from support.store import SCHEMA
from wardlight_cloud.config import Settings
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.open import open_store

FILES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "JPEG2000.dcm",  # lossless or lossy J2K: has to be decoded for old peers
    "examples_ybr_color.dcm",  # 30 frames of JPEG baseline
    "waveform_ecg.dcm",
    "test-SR.dcm",
)
SHARED = "SHARED-7"  # a number that two sites have given to two people
ISSUERS = ("NORTH", "SOUTH")


@dataclass(frozen=True)
class Site:
    """What a hospital sees of us, and what we have."""

    stock: ImageStock
    server: DicomServer
    settings: Settings
    received: Path
    target_port: int
    scripted: Dataset  # whose patient's name is written in three scripts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """PEER may query and retrieve, MUTE may do neither, TARGET is dcmtk's storescp."""
    folder = tmp_path_factory.mktemp("site")
    received = tmp_path_factory.mktemp("received")
    fresh = FreshDatabase(postgres_server, [])
    settings = Settings.model_validate(
        {"data_dir": folder, "database": {"dsn": await fresh(SCHEMA), "pool_size": 4}}
    )
    store = await open_store(settings)
    async with image_stock(store, settings) as stock, store_scp(received, "+xa", "+B") as port:
        for name in FILES:
            await stock.add(bundled(name))
        scripted = image(
            SpecificCharacterSet="ISO_IR 192", Modality="XA",
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        )  # fmt: skip
        await stock.add(octets_of(scripted))
        for issuer in ISSUERS:
            await stock.add(
                octets_of(image(PatientID=SHARED, IssuerOfPatientID=issuer, Modality="OT"))
            )
        await store.put_node(DicomNode("PEER", LOOPBACK))
        await store.put_node(DicomNode("MUTE", LOOPBACK, rights=()))
        await store.put_node(DicomNode("ELSEWHERE", "192.0.2.7"))
        await store.put_node(DicomNode("TARGET", LOOPBACK, port))
        await store.put_node(DicomNode("DOWN", LOOPBACK, 1))
        async with dicom_server(settings) as server:
            yield Site(stock, server, settings, received, port, scripted)
    await store.close()
    for name in fresh.names:
        await postgres_server.drop(name)


@pytest.fixture
async def box(
    fresh_database: FreshDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Box:
    """An empty cloud, used by its commands."""
    return await empty_box(fresh_database, tmp_path, capsys)
