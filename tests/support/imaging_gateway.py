"""A gateway with images in its spool: the files are put in as the imaging process does it."""

import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from support.dicom_files import image, octets_of
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import OutboxSettings, UplinkSettings
from wardlight_edge.daemon import open_spool
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.spool.base import About, Item, ReceivingSpool
from wardlight_edge.spool.opening import open_receiving
from wardlight_edge.uplink.uplink import Uplink
from wardlight_shared.blobs import BlobKind

KEY = b"k" * 32


def noise_image(size: int, seed: int = 1, **more: object) -> Dataset:
    """A CT image of about ``size`` octets that nothing can make smaller."""
    made = image(**more)  # type: ignore[arg-type]
    side = max(2, int((size / 2) ** 0.5))
    made.Rows = made.Columns = side
    made.PixelData = random.Random(seed).randbytes(side * side * 2)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    return made


@contextmanager
def receiving(data_dir: Path) -> Iterator[ReceivingSpool]:
    """The spool as the imaging process holds it."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open_receiving(data_dir, KEY, DicomSettings(min_free_bytes=0)) as spool:
        yield spool


def put(spool: ReceivingSpool, octets: bytes, name: str) -> int:
    """Accept one file; the number of its item."""
    incoming = spool.begin(BlobKind.INSTANCE, name, len(octets))
    for first in range(0, len(octets), 100_000):
        incoming.write(octets[first : first + 100_000])
    about: About = {
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "sop_instance": name,
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "calling_ae": "CT1",
        "called_ae": "WARDLIGHT",
        "peer": "192.0.2.7",
        "conflict": False,
    }
    return incoming.accept(about).item


def put_images(data_dir: Path, images: Iterable[Dataset]) -> dict[int, bytes]:
    """Accept these; item to octets."""
    with receiving(data_dir) as spool:
        files = [(str(each.SOPInstanceUID), octets_of(each)) for each in images]
        return {put(spool, octets, name): octets for name, octets in files}


def items(data_dir: Path, name: str) -> tuple[Item, ...]:
    """Items of a SOP Instance UID."""
    with receiving(data_dir) as spool:
        return tuple(spool.find(name))


@asynccontextmanager
async def delivering(
    data_dir: Path, settings: UplinkSettings, gateway: str
) -> AsyncIterator[tuple[Uplink, Outbox]]:
    """The uplink of this gateway, with an outbox beside the spool."""
    clock = SystemClock()
    outbox = OutboxSettings(min_free_bytes=0, reserve_bytes=0, linger_ms=0)
    file = data_dir / "outbox.sqlite"
    async with (
        SqliteOutbox(file, KEY, outbox, clock, live_age_ms=60_000) as opened,
        Uplink(
            settings, gateway, opened, clock, open_spool=lambda: open_spool(data_dir, KEY)
        ) as uplink,
    ):
        yield uplink, opened
