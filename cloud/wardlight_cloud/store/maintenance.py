"""What is done beside ingest: a part of the store's Protocol."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol


class MaintenanceStore(Protocol):
    """Work that runs beside ingest; one leader at a time by advisory lock."""

    def leadership(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Hold the advisory lock ``name`` while inside; yields False when another holds it."""

    async def refresh_rollups(self, *, limit: int) -> int:
        """Rebuild up to ``limit`` dirty buckets; returns how many were done."""

    async def prepare_partitions(self, *, days_ahead: int) -> None:
        """Make sure that partitions or chunks for the coming days exist."""

    async def forget_event_ids(self, *, older_than: datetime) -> int:
        """Apply the stated retention of event ids; returns how many went."""
