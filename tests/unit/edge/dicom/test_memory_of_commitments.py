"""Requests for storage commitment wait on the disk: what the largest of them take in memory."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import encode

from support.dicom_wire import EXPLICIT, IMPLICIT
from support.manual_clock import ManualClock
from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_information import Outcomes, information
from wardlight_edge.dicom.commitment_report import _data_set
from wardlight_edge.imaging_settings import CommitmentSettings
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import Incoming, Item, ItemState
from wardlight_edge.spool.commitments import PAGE, Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.blobs import BlobKind

MB = 1_000_000
MOST = 20_000
WAITING = 32
CLASS = "1.2.840.10008.5.1.4.1.1.2"


class Spool:
    """Implements ReceivingSpool: everything is delivered but one instance."""

    def __init__(self, missing: str) -> None:
        self.missing = missing
        self.looked_up = 0

    def find(self, key: str) -> Sequence[Item]:
        self.looked_up += 1
        about: dict[str, str | int | bool | None] = {"sop_class": CLASS}
        state = ItemState.WAITING if key == self.missing else ItemState.DELIVERED
        return (Item(1, BlobKind.INSTANCE, b"h" * 32, 1, 1, about, state),)

    def ask_again(self, keys: Sequence[str]) -> None:
        """The collector has said it again at once."""

    def is_kept(self, item: Item) -> bool | None:
        raise AssertionError("its custody is the cloud's")

    def begin(
        self, kind: BlobKind, key: str, expected_bytes: int = 0, *, sender: str = ""
    ) -> Incoming:
        raise AssertionError("nothing is stored here")


def _references(count: int) -> list[Reference]:
    return [Reference(CLASS, f"1.2.826.0.1.3680043.10.1511.{10**32 + n}") for n in range(count)]


def test_many_large_requests_wait_and_are_decided_in_little_memory(tmp_path: Path) -> None:
    """The last instance of each has no receipt yet; then one is decided and told."""
    references = _references(MOST)
    last = references[-1].sop_instance
    with Database(tmp_path / "spool.sqlite") as database:
        clock, spool = ManualClock(), Spool(last)
        table = CommitmentTable(database, Sealer(b"k" * 32))
        age = Age(database, clock)
        desk = CommitmentDesk(table, spool, CommitmentSettings(), clock, age)
        for number in range(WAITING):
            table.put(
                Asker(f"1.{number}", "CT1", "W", "192.0.2.1"), references, received_ms=1, now_ms=0
            )
        del references
        clock.advance(1000)
        tracemalloc.start()
        try:
            # One request is gone through; of the others only rows are looked at.
            found = table.due(age.now_ms(), WAITING)
            assert [each.instances for each in found] == [MOST] * WAITING
            assert desk._taken_up(found[0].number, age.now_ms()) is None
            assert spool.looked_up == MOST
            assert desk._taken_up(found[0].number, age.now_ms()) is None
            assert spool.looked_up == MOST + 1, "what it waits for is looked at first"
            spool.missing = ""
            decided = desk._taken_up(found[0].number, age.now_ms())
            assert decided is not None
            told = information("1.0", lambda: desk.outcomes(decided), is_implicit=False)
            octets = sum(map(len, told.pieces()))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert octets > 2 * MB
        assert peak < 4 * MB


def _outcomes(count: int) -> Outcomes:
    """Every third one failed."""
    told = [(each, 0x0112 * (n % 3 == 2)) for n, each in enumerate(_references(count))]
    return lambda: (told[at : at + PAGE] for at in range(0, count, PAGE))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_pieces_are_the_data_set_that_pydicom_would_write(syntax: str) -> None:
    """Also the one that goes through pynetdicom, with its sequences as octets."""
    for count in (1, 2, 3, PAGE + 5):
        told = information("1.2.3", _outcomes(count), is_implicit=syntax == IMPLICIT)
        pieces = list(told.pieces())
        assert all(len(each) % 2 == 0 for each in pieces)
        octets = b"".join(pieces)
        read = data_sets.read(octets, syntax, most_values=10_000)
        assert encode(read, UID(syntax).is_implicit_VR, True) == octets
        assert encode(_data_set(told), UID(syntax).is_implicit_VR, True) == octets
        assert told.event_type == (1 if count < 3 else 2)
        assert read.TransactionUID == "1.2.3"
        assert len(read.ReferencedSOPSequence) + len(_failed(read)) == count
        assert {each.FailureReason for each in _failed(read)} <= {0x0112}
        first = read.ReferencedSOPSequence[0]
        assert (first.ReferencedSOPClassUID, first.ReferencedSOPInstanceUID) == (
            CLASS, _references(1)[0].sop_instance,
        )  # fmt: skip


def _failed(read: Dataset) -> list[Dataset]:
    return data_sets.items(read, "FailedSOPSequence")
