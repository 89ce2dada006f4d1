"""The messages of an accepted association: commands and data sets put together and answered.

Requests are answered in the order in which they came; asynchronous operations are not negotiated.
A data set goes to its sink fragment by fragment.

Errors  PduError, CommandError: what the peer sent, or that it is silent for too long; ChannelError:
        it is gone
Source  DICOM PS3.7, 6.3 and 9.3.2.3 (C-CANCEL)
"""

import logging
from collections.abc import Mapping

from wardlight_edge.dicom import dimse, pdu
from wardlight_edge.dicom.base import Peer
from wardlight_edge.dicom.channel import Channel, Silence
from wardlight_edge.dicom.commitment_here import ReportsHere
from wardlight_edge.dicom.dimse import Command, CommandBuffer, Field, Tag
from wardlight_edge.dicom.draining import Draining, DrainOver
from wardlight_edge.dicom.house import House
from wardlight_edge.dicom.negotiation import Agreed
from wardlight_edge.dicom.pdu import AbortReason, Fragment, PduError, PduType
from wardlight_edge.dicom.requests import Collecting, Desk
from wardlight_edge.dicom.storage import Sink, Storage
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)


class Conversation:
    """The messages of an accepted association."""

    def __init__(
        self,
        house: House,
        channel: Channel,
        peer: Peer,
        agreed: Mapping[int, Agreed],
        max_pdu: int,
        storage: Storage,
        reports: ReportsHere,
    ) -> None:
        self._house = house
        self._channel = channel
        self._agreed = agreed
        self._storage = storage
        self._reports = reports
        self._desk = Desk(house.services, peer, max_pdu, channel.send, self._is_cancelled)
        self._command = CommandBuffer()
        self._command_context = 0
        self._sink: Sink | None = None
        self._request: tuple[int, Agreed, Command] | None = None
        self._has_worked = False
        self._cancelled: set[int] = set()
        self._early: list[tuple[int, bytes]] = []

    def run(self) -> None:
        """Until the peer releases or aborts, or the gateway stops."""
        while True:
            found = None if self._is_over() else self._next()
            if found is None and self._is_over():
                self._channel.send([pdu.user_abort_pdu()])
                return
            if found is None:
                self._report()
                continue
            self._reports.heard()
            kind, body = found
            if kind == PduType.DATA:
                for fragment in pdu.fragments(memoryview(body)):
                    self._take(fragment)
            elif self._is_end(kind):
                return

    def abandon(self) -> None:
        """What is not whole is forgotten."""
        self._reports.end()
        if self._sink is not None:
            self._sink.abandon()
            self._sink = None

    def _next(self) -> tuple[int, bytes | memoryview] | None:
        if self._early:
            return self._early.pop(0)
        try:
            return self._channel.next_pdu(idle_s=self._patience_s(), is_over=self._is_interrupted)
        except Silence as silence:
            raise PduError(str(silence), AbortReason.NOT_SPECIFIED) from silence

    def _is_interrupted(self) -> bool:
        return self._is_over() or (self._is_between_messages() and self._reports.is_due())

    def _is_between_messages(self) -> bool:
        return self._sink is None and not self._command.has_begun

    def _patience_s(self) -> float:
        """An ultrasound holds one association an exam; who waits for a report is left to wait."""
        settings = self._house.settings
        if not self._is_between_messages():
            return settings.idle_timeout_s
        least_s = settings.pause_timeout_s if self._has_worked else 0.0
        return max(settings.idle_timeout_s, least_s, self._reports.waits_s())

    def _report(self) -> None:
        context_id = self._reports.context_id
        found = None if context_id is None else self._reports.take()
        if context_id is None or found is None:
            return
        try:
            self._desk.tell(context_id, *found)
        except StorageError as error:  # half of the message was sent: nothing can follow it
            raise PduError(f"a report: {error}", AbortReason.NOT_SPECIFIED) from error

    def _is_over(self) -> bool:
        return self._house.stopping.is_set() and self._sink is None

    def _is_end(self, kind: int) -> bool:
        if self._sink is not None or self._command.has_begun:
            self._house.tally.aborted("an object was not sent to its end")
            _log.warning("an object was not sent to its end")
        if kind == PduType.RELEASE_RQ:
            self._channel.send([pdu.release_response_pdu()])
            return True
        if kind == PduType.ABORT:
            _log.info("the peer aborted")
            return True
        raise PduError(f"PDU of type {kind} within an association", AbortReason.UNEXPECTED_PDU)

    def _take(self, fragment: Fragment) -> None:
        if fragment.is_command:
            self._take_command(fragment)
            return
        if self._sink is None or self._request is None or self._request[0] != fragment.context_id:
            raise PduError("a data set that no command announced", AbortReason.UNEXPECTED_PARAMETER)
        try:
            self._sink.write(fragment.octets)
        except DrainOver as over:
            context_id, _, command = self._request
            self._desk.reply(context_id, command, over.status)
            raise PduError(str(over), AbortReason.NOT_SPECIFIED) from over
        if fragment.is_last:
            self._finish(self._sink, *self._request)

    def _take_command(self, fragment: Fragment) -> None:
        context = self._agreed.get(fragment.context_id)
        if context is None:
            raise PduError("a context that was not accepted", AbortReason.INVALID_PARAMETER)
        is_torn = self._command.has_begun and fragment.context_id != self._command_context
        if self._sink is not None or is_torn:
            raise PduError("a command within a message", AbortReason.UNEXPECTED_PARAMETER)
        self._command_context = fragment.context_id
        command = self._command.add(fragment.octets, is_last=fragment.is_last)
        if command is not None:
            self._begin(fragment.context_id, context, command)

    def _begin(self, context_id: int, context: Agreed, command: Command) -> None:
        if command.field == Field.C_CANCEL:
            return  # what it is for was answered already
        if command.is_response:
            self._take_response(context_id, context, command)
            return
        command.message_id  # noqa: B018 - a request without one could not be answered
        self._request = context_id, context, command
        if command.field == Field.C_STORE:
            self._sink = self._storage.begin(command, context)
        elif command.has_data_set:
            self._sink = self._desk.collecting(context, self._house.settings.drain_timeout_s)
        if not command.has_data_set:
            self._finish(self._sink, *self._request)

    def _take_response(self, context_id: int, context: Agreed, command: Command) -> None:
        if not self._reports.answered(command):
            raise PduError("a response to no request", AbortReason.UNEXPECTED_PARAMETER)
        if command.has_data_set:  # an event reply, of which there is none to be read
            self._request = context_id, context, command
            self._sink = Draining(0, self._house.settings.drain_timeout_s)

    def _finish(
        self, sink: Sink | None, context_id: int, context: Agreed, command: Command
    ) -> None:
        self._sink = self._request = None
        if command.is_response:
            return
        self._has_worked = self._has_worked or command.field != Field.C_ECHO
        octets = sink.octets() if isinstance(sink, Collecting) else None
        if sink is None or octets is not None:
            self._desk.answer(context_id, context, command, octets)
            self._cancelled.clear()
        else:
            status = sink.finish()
            self._desk.reply(context_id, command, status, extra=dimse.commented(sink.comment))
            self._storage.prepare()

    def _is_cancelled(self, message_id: int) -> bool:
        """Look whether a C-CANCEL came while a request is being answered."""
        while message_id not in self._cancelled:
            found = self._channel.poll()
            if found is None:
                return False
            kind, body = found
            cancelled = _cancelled(body) if kind == PduType.DATA else None
            if cancelled is None:
                self._keep_for_later(kind, bytes(body))
                return kind == PduType.ABORT
            self._cancelled.add(cancelled)
        return True

    def _keep_for_later(self, kind: int, body: bytes) -> None:
        """What may not come before the answers is looked at after them: one PDU, no queue."""
        if self._early:
            raise PduError("requests before their turn", AbortReason.UNEXPECTED_PDU)
        self._early.append((kind, body))


def _cancelled(body: memoryview) -> int | None:
    """The message id that a C-CANCEL-RQ in one PDU is for; None = something else."""
    found = list(pdu.fragments(body))
    if len(found) != 1 or not (found[0].is_command and found[0].is_last):
        return None
    command = CommandBuffer().add(found[0].octets, is_last=True)
    if command is None or command.field != Field.C_CANCEL:
        return None
    return command.number(Tag.RESPONDED_MESSAGE_ID)
