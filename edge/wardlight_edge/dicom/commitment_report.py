"""Reports of storage commitment on associations of our own: N-EVENT-REPORT to the requester.

For those whose requester did not keep its association open (commitment_here.py).

The gateway requests the association and acts as SCP of the Storage Commitment Push Model SOP Class:
it proposes the SCP role for it and not the SCU role.

Errors  none leaves: a requester that cannot be reached is a None, and holds up no other one
Source  DICOM PS3.4, J.3.3; PS3.7, D.3.3.4 (SCP/SCU Role Selection), 10.1.1 (N-EVENT-REPORT)
"""

import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final, NamedTuple

import msgspec
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import build_context, build_role

from wardlight_edge.dicom.checkpoint import guard
from wardlight_edge.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_information import Information, information
from wardlight_edge.dicom.marks import ae_mark
from wardlight_edge.dicom.negotiation import IMPLICIT
from wardlight_edge.spool.commitments import Commitment
from wardlight_shared.errors import ConfigError, StorageError

_log = logging.getLogger(__name__)
_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 30.0


class Address(msgspec.Struct, frozen=True):
    """Where an AE listens. ``tls``: with the gateway's own certificate."""

    host: str
    port: int
    tls: bool = False


class Reporter:
    """Sends what is due, one association for all reports to a requester.

    tls  makes the context for requesters that ask for TLS; None = there is none
    """

    def __init__(
        self,
        desk: CommitmentDesk,
        addresses: Mapping[str, Address],
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._desk = desk
        self._addresses = addresses
        self._tls = tls

    def knows(self, ae_title: str) -> bool:
        """Whether reports can be sent to an AE title."""
        return ae_title in self._addresses

    def send_due(self) -> int:
        """Send all reports that are due; returns how many were taken."""
        by_requester: dict[tuple[str, str], list[Commitment]] = {}
        for each in self._desk.due():
            key = each.asked.calling_ae, each.asked.called_ae
            by_requester.setdefault(key, []).append(each)
        with ExitStack() as left:
            for due in by_requester.values():
                left.callback(self._give_back, due)
            return sum(self._send(*key, due) for key, due in by_requester.items())

    def _give_up(self, due: list[Commitment]) -> None:
        while due:
            self._desk.give_up(due.pop(0))

    def _send(self, requester: str, own_title: str, due: list[Commitment]) -> int:
        """Reports to one requester; what was told is taken out of ``due``."""
        if not self.knows(requester):
            self._give_up(due)
            return 0
        association = self._associate(requester, own_title)
        if association is None:
            self._give_back(due)
            return 0
        taken = 0
        try:
            while due:
                try:
                    told = self._information(association, due[0])
                except StorageError as error:
                    self._desk.unreadable(due.pop(0), error)
                    continue
                status = _send_one(association, told)
                self._desk.told(due.pop(0), status)
                if status is None:
                    break
                taken += status == 0
        finally:
            if association.is_established:
                association.release()
        self._give_back(due)
        return taken

    def _information(self, association: Association, commitment: Commitment) -> "_Report":
        syntax = association.accepted_contexts[0].transfer_syntax[0]
        told = information(
            commitment.asked.transaction,
            lambda: self._desk.outcomes(commitment),
            is_implicit=syntax == IMPLICIT,
        )
        return _Report(told.event_type, _data_set(told))

    def _give_back(self, due: list[Commitment]) -> None:
        while due:
            self._desk.told(due.pop(0), None)

    def _associate(self, requester: str, own_title: str) -> Association | None:
        address = self._addresses.get(requester)
        if address is None or (address.tls and self._tls is None):
            _log.warning("no way to a requester of commitment", extra={"peer": ae_mark(requester)})
            return None
        try:
            association = self._requested(requester, own_title, address)
        except (OSError, ValueError, RuntimeError, ConfigError) as error:
            # A name that does not resolve, TLS files that cannot be used: of this requester alone.
            extra = {"peer": ae_mark(requester), "error": _reason(error)}
            _log.warning("a requester of commitment cannot be called", extra=extra)
            return None
        if not association.is_established:
            _log.warning("a requester of commitment is away", extra={"peer": ae_mark(requester)})
            return None
        return association

    def _requested(self, requester: str, own_title: str, address: Address) -> Association:
        entity = ApplicationEntity(ae_title=own_title)
        entity.connection_timeout = entity.acse_timeout = _CONNECT_S
        entity.dimse_timeout = entity.network_timeout = _ANSWER_S
        context = build_context(COMMITMENT_CLASS, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        role = build_role(COMMITMENT_CLASS, scu_role=False, scp_role=True)
        tls = (self._tls(), address.host) if address.tls and self._tls is not None else None
        made = entity.associate(
            address.host, address.port, [context], requester, ext_neg=[role], tls_args=tls
        )
        if made.is_established:
            guard(made)
        return made


def _reason(error: Exception) -> str:
    """Ours say what to do; the text of others might name the requester."""
    return str(error) if isinstance(error, ConfigError) else type(error).__name__


class _Report(NamedTuple):
    event_type: int
    information: Dataset


def _data_set(told: Information) -> Dataset:
    """Its sequences stay octets, which pydicom writes as they are: its items take much memory."""
    found = Dataset()
    found.TransactionUID = told.transaction
    for tag, length in told.sequences:
        place = Tag(0x0008, tag)
        octets = b"".join(told.items(tag))
        found[place] = RawDataElement(place, "SQ", length, octets, 0, told.is_implicit, True)
    found.set_original_encoding(told.is_implicit, True)
    return found


def _send_one(association: Association, told: _Report) -> int | None:
    """The status of the answer; None without one."""
    try:
        answer, _ = association.send_n_event_report(
            told.information, told.event_type, COMMITMENT_CLASS, COMMITMENT_INSTANCE
        )
    except ValueError:
        _log.warning("a requester of commitment does not let the gateway be the SCP of it")
        return None
    except RuntimeError:  # the association is gone
        return None
    return _status(answer)


def _status(answer: Dataset) -> int | None:
    return int(answer.Status) if "Status" in answer else None
