"""Orders as others ask for them: the part of the store's Protocol that searches them.

An order is shown when it is a patient's of the register.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class OrderStatus(StrEnum):
    """Of all scheduled steps of an order together."""

    ACTIVE = "active"  # something is still to be done
    COMPLETED = "completed"  # all that was not removed is done
    REVOKED = "revoked"  # all of it was removed


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order. ``starts``: of its first step, ``YYYYMMDD HHMMSS``, local time of the site."""

    accession: str
    patient: UUID
    status: OrderStatus
    modalities: tuple[str, ...]
    starts: str
    made_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """All that is given must hold; None = any. Order: by accession number, behind ``after``.

    ``changed_from``: then or later. ``changed_before``: earlier. ``by_change``: in the order of
    their last change, then, behind ``after_change`` and the number ``after``.
    """

    patients: tuple[UUID, ...] | None
    accessions: tuple[str, ...] | None = None
    statuses: tuple[OrderStatus, ...] | None = None
    changed_from: datetime | None = None
    changed_before: datetime | None = None
    after: str = ""
    limit: int = 100
    by_change: bool = False
    after_change: datetime | None = None


class OrderReadStore(Protocol):
    """Every coroutine raises StorageError."""

    async def orders(self, query: OrderQuery) -> Sequence[OrderRow]:
        """Search."""

    async def order_count(self, query: OrderQuery) -> int:
        """How many orders all pages of a search have."""
