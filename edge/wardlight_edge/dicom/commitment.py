"""Storage Commitment Push Model SCP: N-ACTION kept on the disk.

A request is answered with 0x0000 when it is on the disk.

Source  DICOM PS3.4, annex J; PS3.7, 10.1.4 (N-ACTION)
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final

from pydicom.dataset import Dataset

from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.base import Bound, Peer, Reply, Request
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.data_sets import TooMuch
from wardlight_edge.dicom.marks import ae_mark
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.commitments import MAX_INSTANCES, Asker, PutOutcome, Reference
from wardlight_shared.errors import DecodeError

_log = logging.getLogger(__name__)
COMMITMENT_CLASS: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
_N_ACTION: Final = 0x0130
_REQUEST: Final = 1  # Action Type ID
SUCCESS: Final = 0x0000
NO_SUCH_INSTANCE: Final = 0x0112
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_CLASS: Final = 0x0118
NOT_AUTHORIZED: Final = 0x0124
NO_SUCH_ACTION: Final = 0x0123
NO_OPERATION: Final = 0x0211
RESOURCE_LIMITATION: Final = 0x0213
_MOST_VALUES: Final = 4 * MAX_INSTANCES  # an item and its two UIDs each
_LONGEST_UID: Final = 64


class CommitmentService:
    """Implements Service.

    knows    whether reports can be sent to an AE title
    refused  is told why there is no room, without names
    """

    sop_classes = frozenset({COMMITMENT_CLASS})
    bound = Bound(4 << 20, RESOURCE_LIMITATION)

    def __init__(
        self,
        desk: CommitmentDesk,
        knows: Callable[[str], bool],
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._desk = desk
        self._knows = knows
        self._refused = refused

    def answer(
        self, peer: Peer, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Reply]:
        """See Service."""
        del is_cancelled  # N-ACTION cannot be cancelled
        status, comment = self._take(peer, request)
        level = logging.INFO if status == SUCCESS else logging.WARNING
        about = {"peer": ae_mark(peer.calling_ae), "status": status}
        _log.log(level, "commitment asked for", extra=about)
        command = Dataset()
        command.AffectedSOPClassUID = COMMITMENT_CLASS
        command.AffectedSOPInstanceUID = COMMITMENT_INSTANCE
        if comment:
            command.ErrorComment = comment
        yield Reply(status, command=command)

    def _take(self, peer: Peer, request: Request) -> tuple[int, str]:
        command = request.command
        if command.get("CommandField") != _N_ACTION:
            return NO_OPERATION, ""
        if data_sets.text(command, "RequestedSOPClassUID") != COMMITMENT_CLASS:
            return NO_SUCH_CLASS, ""
        if data_sets.text(command, "RequestedSOPInstanceUID") != COMMITMENT_INSTANCE:
            return NO_SUCH_INSTANCE, ""
        if command.get("ActionTypeID") != _REQUEST:
            return NO_SUCH_ACTION, ""
        is_known = self._knows(peer.calling_ae)
        if not is_known and not (peer.takes_reports and peer.association):
            return NOT_AUTHORIZED, "No report_host, and no SCU role is selected for a report here"
        try:
            octets, syntax = request.data_set or b"", request.transfer_syntax
            read = data_sets.read(octets, syntax, most_values=_MOST_VALUES)
            asker, references = _asked(peer, read)
        except TooMuch as error:
            return RESOURCE_LIMITATION, str(error)[:64]
        except DecodeError as error:
            return INVALID_ARGUMENT, str(error)[:64]
        try:
            outcome = self._desk.take(asker, references, peer.association, is_only_way=not is_known)
        except SpoolFull as error:
            self._refused(str(error))
            return RESOURCE_LIMITATION, "No room on the gateway"
        if outcome is PutOutcome.DIFFERS:
            return INVALID_ARGUMENT, "Transaction UID was used for other instances"
        return SUCCESS, ""


def _asked(peer: Peer, action: Dataset) -> tuple[Asker, list[Reference]]:
    transaction = data_sets.text(action, "TransactionUID")
    if not 0 < len(transaction) <= _LONGEST_UID:
        raise DecodeError("Transaction UID is missing or too long")
    items = data_sets.items(action, "ReferencedSOPSequence")
    if not 0 < len(items) <= MAX_INSTANCES:
        raise DecodeError(f"Referenced SOP Sequence: 1 to {MAX_INSTANCES} items")
    references = {
        Reference(
            data_sets.text(item, "ReferencedSOPClassUID"),
            data_sets.text(item, "ReferencedSOPInstanceUID"),
        ): None
        for item in items
    }
    if any(not 0 < len(uid) <= _LONGEST_UID for each in references for uid in _uids(each)):
        raise DecodeError("Referenced SOP Sequence: an item has no UID")
    asker = Asker(transaction, peer.calling_ae, peer.called_ae, peer.address)
    return asker, list(references)


def _uids(reference: Reference) -> tuple[str, str]:
    return reference.sop_class, reference.sop_instance
