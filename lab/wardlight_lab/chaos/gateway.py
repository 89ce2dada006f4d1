"""The product's outbox and uplink without devices, for loads of the lab's own making."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wardlight_edge.clock import Clock
from wardlight_edge.config import Settings
from wardlight_edge.daemon import open_outbox
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.uplink.uplink import Uplink


@asynccontextmanager
async def open_parts(settings: Settings, clock: Clock) -> AsyncIterator[SqliteOutbox]:
    """The open outbox while the uplink drains it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = read_or_make(settings.data_dir / "outbox.key")
    async with (
        open_outbox(settings, clock, key) as outbox,
        Uplink(settings.uplink, settings.gateway, outbox, clock),
    ):
        yield outbox
