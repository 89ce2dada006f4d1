"""Reports of storage commitment on the association on which it was asked for, while it is open.

PS3.4, J.3.3, lets the report come on the same association or on another one; a requester that keeps
its association open waits for it there. A report is sent when nothing has come for a moment, so
that it never meets a request of the requester half way: many can read only the response that they
wait for. Who does not answer a report gets no more of them here, but on an association of ours.

Errors  none
"""

import time
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from wardlight_edge.dicom import dimse
from wardlight_edge.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_information import information
from wardlight_edge.dicom.dimse import Command, Field, Tag
from wardlight_edge.dicom.negotiation import IMPLICIT
from wardlight_edge.spool.commitments import Commitment
from wardlight_shared.errors import StorageError

_SHORT: Final = Struct("<H")
_QUIET_S: Final = 1.0
_ANSWER_S: Final = 30.0


class ReportsHere:
    """The reports of one association; of one thread.

    context_id  of the presentation context of storage commitment, None where there is none
    """

    def __init__(
        self,
        desk: CommitmentDesk,
        association: int,
        context_id: int | None,
        transfer_syntax: str,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._association = association
        self._syntax = transfer_syntax
        self._now_s = now_s
        self.context_id = context_id
        self._heard_s = self._looked_s = now_s()
        self._ready: list[Commitment] = []
        self._told: Commitment | None = None
        self._told_s = 0.0
        self._message_id = 0

    def heard(self) -> None:
        """The peer has sent something: what is due waits until it is quiet again."""
        self._heard_s = self._now_s()
        self._give_back()

    def waits_s(self) -> float:
        """For how long the peer may still expect a report here, whatever the link does."""
        return self._desk.promised_ms(self._association) / 1000

    def is_due(self) -> bool:
        """Whether a report can go now; to be asked while nothing comes."""
        now_s = self._now_s()
        if self._told is not None:
            if now_s - self._told_s > _ANSWER_S:
                self.end()
            return False
        if self.context_id is None or now_s - max(self._heard_s, self._looked_s) < _QUIET_S:
            return False
        self._looked_s = now_s
        self._ready = self._ready or self._desk.due_on(self._association)
        return bool(self._ready)

    def take(self) -> tuple[bytes, Iterator[bytes]] | None:
        """Command and data set of the report that is due, the data set in pieces.

        None: it cannot be read now. StorageError of the pieces: half of it was sent already.
        """
        commitment = self._ready.pop(0)
        try:
            told = information(
                commitment.asked.transaction,
                lambda: self._desk.outcomes(commitment),
                is_implicit=self._syntax == IMPLICIT,
            )
        except StorageError as error:
            self._desk.unreadable(commitment, error)
            return None
        self._told = commitment
        self._told_s = self._now_s()
        self._message_id = self._message_id % 0xFFFF + 1
        command: dict[int, bytes] = {
            Tag.AFFECTED_SOP_CLASS: _uid(COMMITMENT_CLASS),
            Tag.COMMAND_FIELD: _SHORT.pack(Field.N_EVENT_REPORT),
            Tag.MESSAGE_ID: _SHORT.pack(self._message_id),
            Tag.DATA_SET_TYPE: _SHORT.pack(0x0001),
            Tag.AFFECTED_SOP_INSTANCE: _uid(COMMITMENT_INSTANCE),
            Tag.EVENT_TYPE: _SHORT.pack(told.event_type),
        }
        return dimse.encode(command), told.pieces()

    def answered(self, command: Command) -> bool:
        """Take a response; False = it answers nothing that was sent."""
        told, responded = self._told, command.number(Tag.RESPONDED_MESSAGE_ID)
        if told is None:
            return 0 < responded <= self._message_id  # it comes too late, and is no offence
        if responded != self._message_id:
            return False
        self._told = None
        self._desk.told(told, command.number(Tag.STATUS))
        return True

    def end(self) -> None:
        """No more reports here: the others go on associations of ours."""
        self.context_id = None
        self._desk.leave(self._association)
        self._give_back()
        told, self._told = self._told, None
        if told is not None:
            self._desk.told(told, None)

    def _give_back(self) -> None:
        while self._ready:
            self._desk.give_back(self._ready.pop())


def _uid(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)
