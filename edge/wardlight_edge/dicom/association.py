"""One association, from the request to its end, in a thread of its own.

Whatever ends the association abandons what was not whole: nothing half is ever visible.

Source  DICOM PS3.8, 9.2 (states)
"""

import hashlib
import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from wardlight_edge.dicom import negotiation, pdu
from wardlight_edge.dicom.admission import CONTEXT_NAME_UNKNOWN, VERSION_UNKNOWN, Grant, Refusal
from wardlight_edge.dicom.base import Peer
from wardlight_edge.dicom.channel import Channel, ChannelError
from wardlight_edge.dicom.commitment import COMMITMENT_CLASS
from wardlight_edge.dicom.commitment_here import ReportsHere
from wardlight_edge.dicom.conversation import Conversation
from wardlight_edge.dicom.dimse import CommandError
from wardlight_edge.dicom.house import House
from wardlight_edge.dicom.negotiation import IMPLICIT, Agreed, Proposal
from wardlight_edge.dicom.pdu import AbortReason, PduError, PduType
from wardlight_edge.dicom.storage import Storage

_log = logging.getLogger(__name__)
_ABORT_LINGER_S: Final = 1.0
_numbers: Final = itertools.count(1)
# 128 contexts with every transfer syntax there is fit. To decode one takes some hundred times its
# size, and it is not known yet whether the sender is on the list: so one at a time.
_REQUEST_BYTES: Final = 128 * 1024
_decoding: Final = threading.Lock()


class Association:
    """Runs one association on a connection. ``address`` and ``certificate`` are the peer's.

    has_asked  called when the connection has become an association
    """

    def __init__(
        self,
        house: House,
        channel: Channel,
        address: str,
        certificate: str | None,
        has_asked: Callable[[], None],
    ) -> None:
        self._house = house
        self._channel = channel
        self._address = address
        self._certificate = certificate
        self._has_asked = has_asked

    def run(self) -> None:
        """From the request to the end; closes the channel."""
        linger_s = 0.0
        try:
            self._talk()
        except (PduError, CommandError) as error:
            reason = error.reason if isinstance(error, PduError) else AbortReason.INVALID_PARAMETER
            self._abort(pdu.abort_pdu(reason), str(error))
            linger_s = _ABORT_LINGER_S
        except ChannelError as error:
            self._broke_off(error)
        finally:
            self._channel.close(linger_s=linger_s)

    def _talk(self) -> None:
        found = self._channel.next_pdu(
            within_s=self._house.settings.artim_timeout_s, is_over=self._house.stopping.is_set
        )
        if found is None:
            return
        kind, body = found
        if kind != PduType.ASSOCIATE_RQ:
            raise PduError("no request of an association", AbortReason.UNEXPECTED_PDU)
        if len(body) > _REQUEST_BYTES:
            raise PduError(
                f"request of {len(body)} octets, at most {_REQUEST_BYTES}",
                AbortReason.INVALID_PARAMETER,
            )
        with _decoding:
            proposal = negotiation.decode_request(body)
        peer = Peer(
            proposal.calling_ae, proposal.called_ae, self._address, self._certificate,
            next(_numbers), _is_scu_of_commitment(proposal),
        )  # fmt: skip
        grant = self._admitted(proposal, peer)
        if isinstance(grant, Refusal):
            self._reject(peer, grant)
            return
        leave = self._house.seats(peer.calling_ae)
        if isinstance(leave, Refusal):
            self._reject(peer, leave)
            return
        self._has_asked()
        try:
            self._converse(proposal, peer, grant)
        finally:
            leave()

    def _admitted(self, proposal: Proposal, peer: Peer) -> Grant | Refusal:
        if not proposal.protocol_version & 1:
            return VERSION_UNKNOWN
        if proposal.application_context != negotiation.APPLICATION_CONTEXT:
            return CONTEXT_NAME_UNKNOWN
        return self._house.allowed.decide(peer)

    def _reject(self, peer: Peer, refusal: Refusal) -> None:
        self._house.tally.rejected(refusal.text)
        extra = {"reason": refusal.text, "address": peer.address, "peer": name_hash(peer)}
        _log.warning("association refused", extra=extra)
        self._channel.send([negotiation.rejection(refusal)])
        self._channel.close(linger_s=_ABORT_LINGER_S)

    def _converse(self, proposal: Proposal, peer: Peer, grant: Grant) -> None:
        house = self._house
        agreed, acceptance = negotiation.accept(
            proposal, house.acceptable, grant, house.settings.max_pdu
        )
        self._channel.send([acceptance])
        house.tally.association()
        storage = Storage(house.spool, house.settings, peer, grant, house.tally)
        conversation = Conversation(
            house, self._channel, peer, agreed, proposal.max_pdu, storage,
            self._reports(peer, agreed),
        )  # fmt: skip
        try:
            conversation.run()
        finally:
            conversation.abandon()
            extra = {
                "address": peer.address, "stored": storage.stored,
                "octets": storage.stored_bytes, "peer": name_hash(peer),
            }  # fmt: skip
            _log.info("association ended", extra=extra)

    def _reports(self, peer: Peer, agreed: Mapping[int, Agreed]) -> ReportsHere:
        found = (
            (n, each) for n, each in agreed.items() if each.abstract_syntax == COMMITMENT_CLASS
        )
        number, context = next(found, (None, Agreed(COMMITMENT_CLASS, IMPLICIT)))
        return ReportsHere(
            self._house.commitments, peer.association, number, context.transfer_syntax
        )

    def _broke_off(self, error: ChannelError) -> None:
        if not self._channel.received_bytes:
            # Somebody looked whether the port is open, as monitors of networks do.
            _log.debug("connection without a request", extra={"reason": str(error)})
            return
        self._house.tally.aborted(str(error))
        _log.info("association broke off", extra={"reason": str(error)})

    def _abort(self, message: bytes, why: str) -> None:
        self._house.tally.aborted(why)
        _log.warning("association aborted", extra={"reason": why, "address": self._address})
        try:
            self._channel.send([message])
        except ChannelError as error:
            _log.debug("the abort was not taken", extra={"reason": str(error)})


def _is_scu_of_commitment(proposal: Proposal) -> bool:
    """Said, not only left at the default, as every modality has it that listens for reports."""
    is_scu, _ = proposal.roles.get(COMMITMENT_CLASS, (None, None))
    return bool(is_scu)


def name_hash(peer: Peer) -> str:
    """Tells peers apart in a log that must not carry what they call themselves."""
    return hashlib.sha256(peer.calling_ae.encode()).hexdigest()[:8]
