"""Readings kept aside, and what a person may decide on them: a part of the store's Protocol.

A reading goes to quarantine when it cannot be a vital sign as it came: its time lies in the future,
or another value stands at its place. It stays there, on record, whatever is decided:

released     stored as an ordinary row, marked with Flag.RELEASED, under a new commit
discarded    not shown as waiting any more; it may still be released later
superseded   another copy of the same event came, so this one is not needed

A decision is on a record: the values of one cuff reading go together. It names who made it and why.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Verdict = Literal["released", "discarded", "superseded"]


@dataclass(frozen=True, slots=True)
class QuarantinedReading:
    """One value kept aside; value = mantissa * 10**scale where absent == 0 and it is no waveform.

    Lines with the same gateway, epoch and seq are of one record.
    """

    quarantine_id: int
    gateway: str
    epoch: int
    seq: int
    device: str
    metric: int
    unit: str
    time: datetime
    mantissa: int
    scale: int
    absent: int
    is_waveform: bool
    reason: str
    stored_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class QuarantineDecision:
    """What was decided on one line. ``time`` and ``ord``: where a released reading is stored.

    ``decided_by`` is a person's name or login, or "collector"; ``reason`` is that person's words.
    """

    quarantine_id: int
    verdict: Verdict
    decided_by: str
    reason: str
    decided_at: datetime
    commit_seq: int | None
    time: datetime | None
    ord: int | None


class QuarantineStore(Protocol):
    """What operators do with readings kept aside."""

    async def quarantined(
        self, *, count: int = 100, is_open: bool = True, gateway: str | None = None
    ) -> tuple[QuarantinedReading, ...]:
        """Readings kept aside, newest first: those that wait for a decision, or all."""

    async def release_quarantined(
        self, quarantine_id: int, *, decided_by: str, reason: str, time: datetime | None = None
    ) -> tuple[QuarantineDecision, ...]:
        """Store the record of this line as ordinary rows; returns the decision on each line.

        ``time`` is the true time of its first reading; the others keep their distance to it, and
        all are marked as uncertain in time. A record that was released before, or that another
        copy came for, is left as it is and its decisions are returned. Where another value stands
        at its place it is stored beside that one. StorageError, with nothing done: no such line, a
        waveform, a time in the future. ValueError: no name or no reason.
        """

    async def discard_quarantined(
        self, quarantine_id: int, *, decided_by: str, reason: str
    ) -> tuple[QuarantineDecision, ...]:
        """Close the record of this line without storing it; returns the decision on each line.

        A record that was decided on before is left as it is. StorageError: no such line.
        ValueError: no name or no reason.
        """

    async def quarantine_decisions(self, quarantine_id: int) -> tuple[QuarantineDecision, ...]:
        """All decisions on this line, the oldest first."""
