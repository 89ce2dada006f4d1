"""HL7 v2 messages that wait to be sent, in the store's Protocol.

A message is made once and kept until it has arrived, so that each attempt has the same control id.
Messages of one patient to one destination go in the order of commits. One that was dead, and that
later ones went past, is no longer the last word on what it tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from wardlight_cloud.store.subscriptions import ChangeStore


@dataclass(frozen=True, slots=True)
class Hl7Progress:
    """How far a destination has come; ``newest``: the newest commit that is visible.

    ``gathered_s``: seconds since messages were made last; ``pause_s``: until it is tried again;
    ``from_commit``: what commits behind it brought was told, as far as it has come.
    """

    commit_seq: int
    place: bytes | None
    turn: int
    newest: int
    gathered_s: float
    pause_s: float
    attempts: int
    from_commit: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message as it will be sent, without its frame."""

    patient_id: UUID
    observations: int
    control_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message to be sent. ``attempts``: how often it was refused.

    ``was_dead``: later ones of this patient may have been sent before it.
    """

    message_id: int
    patient_id: UUID
    control_id: str
    attempts: int
    body: bytes
    was_dead: bool


@dataclass(frozen=True, slots=True)
class Hl7Status:
    """A destination for the operator. ``reason``: why nothing is sent now, "" = it is."""

    name: str
    waiting: int
    sent: int
    dead: int
    oldest: datetime | None
    behind: int
    reason: str


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that the receiver would not have."""

    message_id: int
    destination: str
    control_id: str
    patient_id: UUID
    observations: int
    attempts: int
    made_at: datetime
    reason: str


class Hl7Store(ChangeStore, Protocol):
    """Raises StorageError; one call, one transaction. What becomes of a message is on record."""

    async def hl7_progress(self, destination: str) -> Hl7Progress:
        """How far a destination has come; a new one begins with what is committed from now on."""

    async def add_hl7(
        self,
        destination: str,
        seen: Hl7Progress,
        messages: Sequence[NewMessage],
        *,
        commit_seq: int,
        place: bytes | None,
        is_gathered: bool,
    ) -> bool:
        """Keep messages and move on; False, and nothing done: somebody else has moved on."""

    async def take_hl7(self, destination: str, *, count: int) -> tuple[WaitingMessage, ...]:
        """The next messages, of patients none of whose earlier ones waits for another attempt."""

    async def settle_hl7_sent(self, message_id: int) -> None:
        """It has arrived; its text is forgotten."""

    async def settle_hl7_failed(
        self, message_id: int, reason: str, *, again_in_s: float | None
    ) -> None:
        """It was refused; None = for good."""

    async def note_hl7_unknown(self, message_id: int) -> None:
        """It was sent, and no acknowledgement came."""

    async def note_hl7_trouble(self, destination: str, reason: str, *, pause_s: float) -> None:
        """The destination cannot be reached; "" = it can."""

    async def hl7_status(self) -> tuple[Hl7Status, ...]:
        """All destinations that ever were."""

    async def dead_hl7(
        self,
        *,
        count: int = 100,
        after: int = 0,
        destination: str | None = None,
        message_id: int | None = None,
    ) -> tuple[DeadMessage, ...]:
        """Oldest first, behind the number ``after``; of a destination, or with this number."""

    async def hl7_body(self, message_id: int) -> bytes | None:
        """The text of a message that waits or is dead."""

    async def retry_hl7(self, message_id: int) -> bool:
        """Let a dead message wait again, in its old place, as one that was dead."""

    async def drop_hl7_overtaken(self, message_id: int) -> bool:
        """Forget a message that waits or is dead: nothing of what it tells holds any more."""

    async def drop_hl7(self, message_id: int) -> bool:
        """Forget a dead message."""

    async def forget_hl7(self, *, days: int) -> int:
        """Forget what was sent longer ago than this."""
