"""What the collector needs of others: its part of the store, and a way to say something."""

from collections.abc import Callable
from typing import Protocol

from wardlight_cloud.store.base import IngestStore, LeaseStore

Publish = Callable[[str, bytes], bool]
"""Send a payload on a topic; False = no connection. Nothing sent this way must be kept."""


class CollectorStore(IngestStore, LeaseStore, Protocol):
    """Ingest, leases, and whether the database answers."""

    async def is_ready(self) -> bool:
        """True when the database answers and the schema is the one this program knows."""
