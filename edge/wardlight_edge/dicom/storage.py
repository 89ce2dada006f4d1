"""C-STORE: the data set of one request into the spool, fragment by fragment.

What is refused is read to its end (draining.py), so that the refusal can be told and the
association goes on. A data set that is cut off is refused: success would let its sender delete it.

Source  DICOM PS3.4, B.2; PS3.7, 9.1.1
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from wardlight_edge.dicom.admission import Grant
from wardlight_edge.dicom.base import Peer
from wardlight_edge.dicom.dimse import Command, Status
from wardlight_edge.dicom.draining import Draining
from wardlight_edge.dicom.ending import Ending, NoStudy
from wardlight_edge.dicom.identity import Beginning, Identity, NoIdentity
from wardlight_edge.dicom.negotiation import Agreed
from wardlight_edge.dicom.tally import Tally
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.base import Accepted, Incoming, SpoolFull
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_shared.blobs import BlobKind
from wardlight_shared.data_set_end import NotWhole
from wardlight_shared.errors import DecodeError, StorageError, WardlightError
from wardlight_shared.part10 import file_head
from wardlight_shared.uids import is_uid

_log = logging.getLogger(__name__)
_COMMENT: Final = 64  # PS3.5, 6.2: characters of an LO


class Sink(Protocol):
    """Takes the fragments of one data set. ``comment``: on its refusal, for the sender; "" = none.

    It says nothing of what the data set holds.
    """

    comment: str

    def write(self, octets: memoryview) -> None:
        """Take a fragment."""

    def finish(self) -> int:
        """The data set is whole; the status to answer with."""

    def abandon(self) -> None:
        """The data set will not be whole."""


class Mismatch(DecodeError):
    """A data set that is another object than its request says."""


class Receiving:
    """Writes an object to the spool; refuses the rest of it when there is no more room.

    What the request says of the object must be what the data set says: it is announced to the
    cloud, and commitment is asked for, by those UIDs.
    """

    def __init__(
        self,
        incoming: Incoming,
        about: dict[str, str | int | bool | None],
        settings: DicomSettings,
        done: Callable[[Accepted, int], None],
        refused: Callable[[WardlightError], int],
    ) -> None:
        self._incoming = incoming
        self._about = about
        self._settings = settings
        self._done = done
        self._refused = refused
        self._beginning: Beginning | None = Beginning(str(about["transfer_syntax"]))
        self._ending = Ending(str(about["transfer_syntax"]))
        self._rest: Draining | None = None
        self._size = 0
        self.comment = ""

    def write(self, octets: memoryview) -> None:
        """Take a fragment."""
        if self._rest is not None:
            self._rest.write(octets)
            return
        self._size += len(octets)
        try:
            if self._size > self._settings.max_object_bytes:
                raise SpoolFull("an object is larger than dicom.max_object_bytes")
            if self._beginning is not None:
                self._compare(self._beginning.add(octets))
            self._ending.add(octets)
            self._incoming.write(octets)
        except (StorageError, DecodeError) as error:
            self._refuse(error)

    def finish(self) -> int:
        """Make it durable; only then success."""
        if self._rest is not None:
            return self._rest.finish()
        try:
            if self._beginning is not None:
                self._compare(self._beginning.end())
            self._ending.end()
            accepted = self._incoming.accept(self._about)
        except (StorageError, DecodeError) as error:
            self._incoming.abandon()
            return self._refusal(error)
        self._done(accepted, self._size)
        return Status.SUCCESS

    def abandon(self) -> None:
        """Leave no trace of it."""
        self._incoming.abandon()

    def _compare(self, said: Identity | None) -> None:
        if said is None:
            return
        self._beginning = None
        if said != (self._about["sop_class"], self._about["sop_instance"]):
            raise Mismatch("a data set that is another object than its request says")

    def _refuse(self, error: WardlightError) -> None:
        self._incoming.abandon()
        self._rest = Draining(self._refusal(error), self._settings.drain_timeout_s)

    def _refusal(self, error: WardlightError) -> int:
        if isinstance(error, DecodeError):
            self.comment = str(error)[:_COMMENT]
        return self._refused(error)


class Storage:
    """C-STORE requests of one association."""

    def __init__(
        self,
        spool: SqliteReceivingSpool,
        settings: DicomSettings,
        peer: Peer,
        grant: Grant,
        tally: Tally,
    ) -> None:
        self._spool = spool
        self._settings = settings
        self._peer = peer
        self._grant = grant
        self._tally = tally
        self.stored = 0
        self.stored_bytes = 0

    def begin(self, command: Command, context: Agreed) -> Sink:
        """Where the data set of a request goes."""
        status = _objection(command, context)
        if status is not None:
            _log.warning("C-STORE refused", extra={"status": f"{status:04X}"})
            self._tally.refused("a C-STORE request that is malformed")
            return Draining(status, self._settings.drain_timeout_s)
        try:
            return self._receiving(command, context)
        except StorageError as error:
            return Draining(self._refused(error), self._settings.drain_timeout_s)

    def prepare(self) -> None:
        """Something was answered: what the next object needs is made while it is on its way."""
        self._spool.prepare()

    def _receiving(self, command: Command, context: Agreed) -> Receiving:
        instance = command.sop_instance
        incoming = self._spool.begin(
            BlobKind.INSTANCE,
            instance,
            sender=self._peer.calling_ae,
            sender_quota=self._grant.quota_bytes,
        )
        about: dict[str, str | int | bool | None] = {
            "sop_class": context.abstract_syntax,
            "sop_instance": instance,
            "transfer_syntax": context.transfer_syntax,
            "calling_ae": self._peer.calling_ae,
            "called_ae": self._peer.called_ae,
            "peer": self._peer.address,
        }
        try:
            incoming.write(file_head(context.abstract_syntax, instance, context.transfer_syntax))
        except BaseException:
            incoming.abandon()
            raise
        return Receiving(incoming, about, self._settings, self._done, self._refused)

    def _done(self, accepted: Accepted, size: int) -> None:
        self.stored += 1
        self.stored_bytes += size
        self._tally.stored(size, known=accepted.known, conflict=accepted.conflict)
        if accepted.conflict and not accepted.known:
            _log.warning(
                "another file has this SOP Instance UID: both are kept",
                extra={"item": accepted.item},
            )

    def _refused(self, error: WardlightError) -> int:
        status = _status_of(error)
        self._tally.refused(str(error))
        extra = {"status": f"{status:04X}", "reason": str(error)}
        _log.warning("C-STORE refused", extra=extra)
        return status


def _status_of(error: WardlightError) -> Status:
    match error:
        case SpoolFull():
            return Status.OUT_OF_RESOURCES
        case Mismatch():
            return Status.DATA_SET_DOES_NOT_MATCH
        case NoIdentity() | NotWhole() | NoStudy():
            return Status.CANNOT_UNDERSTAND
        case _:
            return Status.PROCESSING_FAILURE


def _objection(command: Command, context: Agreed) -> int | None:
    """What is wrong with a request before its data set is looked at."""
    if command.sop_class != context.abstract_syntax or not context.is_storage:
        return Status.SOP_CLASS_NOT_SUPPORTED
    if not is_uid(command.sop_instance):
        return Status.INVALID_INSTANCE
    return None if command.has_data_set else Status.CANNOT_UNDERSTAND
