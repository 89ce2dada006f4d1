"""Requests other than C-STORE: read whole, answered by the service of their SOP class.

Errors  PduError: what the peer sent; what a service raises is logged by its type and answered
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom import dsutils

from wardlight_edge.dicom import dimse
from wardlight_edge.dicom.base import Bound, Peer, Reply, Request, Service
from wardlight_edge.dicom.dimse import Command, Status
from wardlight_edge.dicom.draining import Draining
from wardlight_edge.dicom.negotiation import IMPLICIT, Agreed
from wardlight_edge.dicom.pdu import AbortReason, PduError, data_pdus

_log = logging.getLogger(__name__)
_UNSERVED: Final = Bound(4096, Status.SOP_CLASS_NOT_SUPPORTED)
_LARGE_BYTES: Final = 64 * 1024
_one_large: Final = threading.Lock()
"""Of all associations one at a time may decode a large data set: it takes many times its size."""
_PENDING: Final = frozenset({0xFF00, 0xFF01})


class Collecting:
    """The data set of a request, in memory: such data sets are small. A larger one is refused."""

    comment = ""

    def __init__(self, bound: Bound, drain_s: float) -> None:
        self._bound = bound
        self._drain_s = drain_s
        self._octets = bytearray()
        self._rest: Draining | None = None

    def write(self, octets: memoryview) -> None:
        """Take a fragment; DrainOver when one that is too large does not come to its end."""
        if self._rest is not None:
            self._rest.write(octets)
        elif len(self._octets) + len(octets) > self._bound.octets:
            self._octets = bytearray()
            self._rest = Draining(self._bound.status, self._drain_s)
        else:
            self._octets += octets

    def finish(self) -> int:
        """The refusal of one that is too large; of another the service gives the status."""
        return Status.SUCCESS if self._rest is None else self._rest.finish()

    def octets(self) -> bytes | None:
        """The data set; None = it is refused."""
        return bytes(self._octets) if self._rest is None else None

    def abandon(self) -> None:
        """Nothing is kept."""


class Desk:
    """Hands requests of one association to services and their replies to the peer.

    send          PDUs to the peer
    is_cancelled  whether the peer sent C-CANCEL for this message id; looks at the connection
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        peer: Peer,
        max_pdu: int,
        send: Callable[[Iterator[bytes]], None],
        is_cancelled: Callable[[int], bool],
    ) -> None:
        self._services = services
        self._peer = peer
        self._max_pdu = max_pdu
        self._send = send
        self._is_cancelled = is_cancelled

    def collecting(self, context: Agreed, drain_s: float) -> Collecting:
        """Where the data set of a request goes."""
        service = self._services.get(context.abstract_syntax)
        return Collecting(_UNSERVED if service is None else service.bound, drain_s)

    def answer(
        self, context_id: int, context: Agreed, command: Command, data_set: bytes | None
    ) -> None:
        """Send every reply of a request."""
        service = self._services.get(context.abstract_syntax)
        if service is None or command.sop_class != context.abstract_syntax:
            self.reply(context_id, command, Status.SOP_CLASS_NOT_SUPPORTED)
            return
        is_large = len(data_set or b"") > _LARGE_BYTES
        with _one_large if is_large else nullcontext():
            self._answer(service, context_id, context, command, data_set)

    def _answer(
        self,
        service: Service,
        context_id: int,
        context: Agreed,
        command: Command,
        data_set: bytes | None,
    ) -> None:
        for reply in self._replies(service, context, command, data_set):
            octets = None
            if reply.data_set is not None:
                octets = encoded(reply.data_set, context.transfer_syntax)
            extra = {} if reply.command is None else _elements(reply.command)
            self.reply(context_id, command, reply.status, data_set=octets, extra=extra)
            if reply.status not in _PENDING:
                break

    def reply(
        self,
        context_id: int,
        command: Command,
        status: int,
        *,
        data_set: bytes | None = None,
        extra: Mapping[int, bytes] | None = None,
    ) -> None:
        """Send one response."""
        response = dimse.response(
            command, status, has_data_set=data_set is not None, extra=extra or {}
        )
        self._send(data_pdus(context_id, response, self._max_pdu, is_command=True))
        if data_set is not None:
            self._send(data_pdus(context_id, data_set, self._max_pdu, is_command=False))

    def tell(self, context_id: int, command: bytes, pieces: Iterator[bytes]) -> None:
        """Send a request of ours, its data set in pieces of even length."""
        self._send(data_pdus(context_id, command, self._max_pdu, is_command=True))
        piece = next(pieces)
        for following in pieces:
            self._send(self._some(context_id, piece, is_last=False))
            piece = following
        self._send(self._some(context_id, piece, is_last=True))

    def _some(self, context_id: int, piece: bytes, *, is_last: bool) -> Iterator[bytes]:
        limit = self._max_pdu
        return data_pdus(context_id, piece, limit, is_command=False, is_last=is_last)

    def _replies(
        self, service: Service, context: Agreed, command: Command, data_set: bytes | None
    ) -> Iterator[Reply]:
        """What a service answers; it always comes to a final reply."""
        try:
            request = Request(
                abstract_syntax=context.abstract_syntax,
                transfer_syntax=context.transfer_syntax,
                command=dsutils.decode(BytesIO(command.octets), True, True),
                data_set=data_set,
            )
            cancelled = lambda: self._is_cancelled(command.message_id)  # noqa: E731
            yield from service.answer(self._peer, request, cancelled)
        except (PduError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - supervisor of services; its text may name a patient
            _log.error("a service failed", extra={"error": type(error).__name__})
        yield Reply(Status.PROCESSING_FAILURE)


def encoded(data_set: Dataset, transfer_syntax: str) -> bytes:
    """A data set of ours in one of the native transfer syntaxes."""
    octets = dsutils.encode(data_set, transfer_syntax == IMPLICIT, True)
    if octets is None:
        raise PduError("an answer cannot be encoded", AbortReason.NOT_SPECIFIED)
    return octets


def _elements(command: Dataset) -> Mapping[int, bytes]:
    octets = dsutils.encode(command, True, True)
    return {} if octets is None else dimse.decode(octets).elements
