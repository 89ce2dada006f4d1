"""What comes for an import by C-MOVE: only what was asked for, only from the PACS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, build_context

from support.dicom_files import dataset_of, image
from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.pacs_receiving import Keeper, Receiver
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_lab.modality.association import associate
from wardlight_shared.errors import ConfigError

LOOPBACK = "127.0.0.1"
IMAGE = image()


def sent(port: int) -> int | None:
    """Status of a C-STORE of IMAGE to a port; None where nobody lets us in."""
    entity = AE("ARCHIVE")
    contexts = [build_context(IMAGE.SOPClassUID, IMAGE.file_meta.TransferSyntaxUID)]
    assoc = associate(entity, LOOPBACK, port, contexts=contexts, ae_title="IMPORTER")
    if not assoc.is_established:
        return None
    status = assoc.send_c_store(IMAGE)
    assoc.release()
    assoc.join(180)
    return int(status.Status)


@pytest.fixture
def receiver() -> Receiver:
    node = DicomNode("ARCHIVE", "localhost", 104)
    return Receiver(node, DicomSettings(), calling="IMPORTER")


@pytest.fixture
def port(receiver: Receiver) -> Iterator[int]:
    with receiver.listening(LOOPBACK, 0) as port:
        yield port


def test_what_was_asked_for_becomes_a_file(receiver: Receiver, port: int, tmp_path: Path) -> None:
    with receiver.taking(Keeper(tmp_path, [IMAGE.SOPInstanceUID]), uncompressed=False):
        assert sent(port) == 0x0000
    (file,) = tmp_path.iterdir()
    assert dataset_of(file.read_bytes()) == IMAGE


def test_nothing_else_is_taken(receiver: Receiver, port: int, tmp_path: Path) -> None:
    with receiver.taking(Keeper(tmp_path, ["1.2.3"]), uncompressed=True):
        assert sent(port) == 0x0124
    assert sent(port) == 0x0124  # nor when nobody waits for it
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_is_told(receiver: Receiver, port: int, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "nowhere", [IMAGE.SOPInstanceUID])
    with receiver.taking(keeper, uncompressed=False):
        assert sent(port) == 0xA700


def test_nobody_else_is_let_in(tmp_path: Path) -> None:
    node = DicomNode("ARCHIVE", "192.0.2.1", 104)
    receiver = Receiver(node, DicomSettings(), calling="IMPORTER")
    keeper = Keeper(tmp_path, [IMAGE.SOPInstanceUID])
    with receiver.listening(LOOPBACK, 0) as port, receiver.taking(keeper, uncompressed=False):
        assert sent(port) is None


def test_a_port_that_is_taken_is_told(receiver: Receiver, port: int) -> None:
    other = Receiver(DicomNode("X", LOOPBACK, 1), DicomSettings(), calling="IMPORTER")
    with pytest.raises(ConfigError, match="give --port"), other.listening(LOOPBACK, port):
        pass
