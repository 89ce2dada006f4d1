"""What imaging and uplink know of the spool; two processes use it at the same time.

The imaging process puts items in, the gateway's uplink takes them to the collector. An item is a
file of its own (one DICOM file, one procedure step), encrypted in segments, and a row. It is
accepted when file and row are durable. Calls block for the time of a disk access: the uplink makes
them in a thread.

Errors  StorageError: the disk refuses; SpoolFull: quota or disk reserve, nothing was kept
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError
from wardlight_shared.worklist import WorklistPage

About = Mapping[str, str | int | bool | None]
"""Names of ``wardlight_shared.blobs.Offer.about``."""


class SpoolFull(StorageError):
    """Quota or disk reserve is used up: the sender must keep its copy."""


class ItemState(StrEnum):
    """Where an item is on its way."""

    WAITING = "waiting"
    DELIVERED = "delivered"  # the collector's receipt is here; the file may be gone
    ASKED = "asked"  # delivered, and the collector is asked whether it has it still
    REFUSED = "refused"  # the collector will not take it: an operator has to look
    DAMAGED = "damaged"  # its file is gone or no longer what was received: it must be sent again
    DROPPED = "dropped"  # given up by a person: its file is gone, and the cloud was told


class Item(msgspec.Struct, frozen=True):
    """One item.

    reason  why it was refused or is damaged; of a delivered one: it was set aside in the cloud,
            which keeps it on no index (wardlight_shared/set_aside.py)
    """

    item: int
    kind: BlobKind
    sha256: bytes
    size: int
    received_ms: int
    about: dict[str, str | int | bool | None]
    state: ItemState = ItemState.WAITING
    reason: str | None = None


class Dropped(msgspec.Struct, frozen=True):
    """Something that a person gave up. ``received_ms``: UTC by the clock of then."""

    number: int
    kind: str
    received_ms: int


class Accepted(msgspec.Struct, frozen=True):
    """What became of a received file.

    known     the same file was there already: nothing was written a second time
    conflict  another file has its SOP Instance UID; both are kept
    """

    item: int
    known: bool
    conflict: bool


class Incoming(Protocol):
    """A file while it is received: written once from front to back."""

    def write(self, octets: bytes | memoryview) -> None:
        """Append octets; SpoolFull or StorageError when the disk refuses."""

    def accept(self, about: About) -> Accepted:
        """Sync, rename, commit the row; only then the sender may be told."""

    def abandon(self) -> None:
        """Leave no trace; may be called at any time."""


class ReceivingSpool(Protocol):
    """The imaging process's part."""

    def begin(
        self, kind: BlobKind, key: str, expected_bytes: int = 0, *, sender: str = ""
    ) -> Incoming:
        """Begin a file of the instance or step ``key`` (its SOP Instance UID).

        ``sender``: whom its room counts for. SpoolFull at once where quota or reserve would not
        hold ``expected_bytes``.
        """

    def find(self, key: str) -> Sequence[Item]:
        """Items of this SOP Instance UID, oldest first, delivered ones for as long as kept."""

    def ask_again(self, keys: Sequence[str]) -> None:
        """Delivered instances of these UIDs are ASKED from now, durably: receipts grow old."""

    def is_kept(self, item: Item) -> bool | None:
        """Whether the file of an item that waits is durable and whole; None = it is being flushed.

        False: it is gone or spoilt, and the item is DAMAGED from then on.
        """


class SendingSpool(Protocol):
    """The uplink's part."""

    @property
    def identity(self) -> int:
        """64 random bits made with the database; item numbers are never reused within it."""

    def waiting(
        self,
        *,
        after: int = 0,
        limit: int = 16,
        kind: BlobKind | None = None,
        state: ItemState = ItemState.WAITING,
    ) -> Sequence[Item]:
        """Items to deliver, ascending by number; what was refused or delivered is not among.

        kind   of this kind only
        state  ASKED: those to ask the collector about, which have no file here
        """

    def read(self, item: int, offset: int, length: int) -> bytes:
        """Octets of an item's file.

        StorageError when it is damaged or gone: the item is DAMAGED from then on, no more waiting.
        """

    def settle(self, items: Sequence[int], state: ItemState, reason: str | None = None) -> None:
        """The collector's word on items; durable on return, the same again changes nothing."""

    def dropped(self, limit: int = 100) -> Sequence[Dropped]:
        """What a person gave up and the cloud has not been told, oldest first."""

    def told(self, numbers: Sequence[int]) -> None:
        """These are among the records for the cloud; durable on return."""

    def revision(self) -> int:
        """Revision of the worklist that is held; 0 = none."""

    def epoch(self) -> int | None:
        """Epoch of the worklist that is held; None = not known."""

    def keep_worklist(self, page: WorklistPage) -> bool:
        """Take a page over; durable on return. False: it does not continue, and is ignored."""
